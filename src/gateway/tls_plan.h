/* What a snapshot needs for TLS: its certificates, which of them answer for which name, and a
 * context for each worker. Built on the control thread, in the snapshot's arena, then immutable. */
#pragma once

#include "base/table.h"
#include "gateway/certificate.h"

struct tls_plan {
    struct served_certificate *certificates;
    size_t count;
    struct tls_host *hosts; /* the first answers names that nobody has */
    size_t host_count;
    struct table names;             /* "shop.example", "*.shop.example": struct tls_host * */
    struct tls_server **servers;    /* counted; one a worker */
    struct tls_server **raw;        /* the same without ALPN, for TCP; NULL: nobody needs them */
    const struct slice *acme_names; /* of certificates that an authority gives */
    size_t acme_count;
};

struct tls_plan_needs {
    struct registry *registry;    /* borrowed */
    struct tls_tickets *tickets;  /* borrowed; or NULL */
    struct acme_answers *answers; /* borrowed; or NULL */
    const struct slice *names;    /* for `acme`: those that are wanted */
    size_t name_count;
    unsigned workers;
    const struct option_list *hosts; /* the file's `hosts`, of struct slice */
    bool has_raw;                    /* some listener speaks TLS for what is no HTTP */
};

/* INVALID: the diagnostics say why. `options` live as long as the plan. */
enum status tls_plan_new(struct reader *reader, const struct tls_options *options,
    const struct tls_plan_needs *needs, struct tls_plan **ret_plan);

/* Who answers for a name (lower case): the exact one before the wildcard; NULL: nobody. */
const struct tls_host *tls_plan_find(const struct tls_plan *plan, struct slice name);

/* Whether a request for `host` belongs on a connection whose client asked for `name` (both lower
 * case; the empty slice: for none): only what was shown there vouches for the host (RFC 9110 §7.4),
 * and who has proved to be a client of the one is none of the other. An IP address is what a
 * certificate need not name. */
bool tls_plan_fits(const struct tls_plan *plan, struct slice name, struct slice host);
