/* Certificates that an authority gives (src/acme), as a snapshot sees them: for which names they
 * are wanted, and what answers under a name now, be it one that we signed ourselves. */
#pragma once

#include "gateway/certificate.h"
#include "gateway/options.h"

/* The names in `hosts`, the file's and the routes', lower case, each once. Wildcards are left out:
 * only an entry in DNS would prove them ours. */
enum status acme_gather_names(struct arena *arena, const struct gateway_options *options,
    struct slice **ret_names, size_t *ret_count);

/* Whether the file of whom to trust about the authority is of use. INVALID with a complaint. */
enum status acme_check(struct reader *reader, const struct acme_options *options);

/* What is in the storage for a name, or one that we sign ourselves. `options` says what holds for
 * its clients. */
enum status acme_certificate_load(struct reader *reader, struct registry *registry,
    const struct tls_options *options, struct slice name, struct served_certificate *ret_served);
