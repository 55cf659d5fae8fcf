/* Certificates as files: reading a pair, saying what is wrong with it, and keeping what is known
 * about it over reloads.
 *
 * A pair that has not changed is the same object in the next snapshot (base/registry.h), so that
 * what its authority said about it need not be asked again. On the control thread; workers only use
 * the identity. */
#pragma once

#include "base/registry.h"
#include "gateway/tls_options.h"
#include "run/tls.h"

struct errand;

/* What the authority says about a certificate (RFC 6960). */
struct staple {
    struct errand *errand; /* asks again and again; NULL: nobody does */
    int64_t until;         /* wall-clock nanoseconds; 0: there is none */
    int64_t tried;         /* wall-clock nanoseconds; 0: not yet */
    const char *problem;   /* why the newest attempt failed; NULL: it did not */
    uint64_t fetched, failed;
};

struct certificate {
    struct tls_identity *identity; /* counted */
    struct staple staple;
};

/* A pair of the configuration, ready: in the snapshot's arena. */
struct served_certificate {
    const struct tls_pair_options *options;
    struct slice cert_path, key_path, ca_path, ocsp_path; /* end with a NUL; empty: none */
    struct certificate *certificate;     /* obtained from the registry for the arena's life */
    struct tls_authorities *authorities; /* of clients; counted for the arena's life; or NULL */
    const struct slice *names;           /* that it answers, lower case */
    size_t name_count;
    bool fetches;   /* the staple, from its responder */
    uint64_t stamp; /* of its files, before they were read */
};

/* INVALID: the diagnostics say what is wrong with the files. */
enum status certificate_load(struct reader *reader, struct registry *registry,
    const struct tls_pair_options *options, struct served_certificate *ret_served);

/* Changes when one of its files does. */
uint64_t certificate_stamp(const struct served_certificate *served);

/* As a pair of files, but of texts that do not lie in files. INVALID with a static text. The caller
 * releases it to the registry. */
enum status certificate_obtain(struct registry *registry, struct slice chain, struct slice key,
    struct certificate **ret_certificate, const char **ret_problem);

/* What stands beside a pair in `served->options`: whom to trust about clients. */
enum status certificate_load_authorities(struct reader *reader, struct served_certificate *served);

/* How long before its end it is warned of. */
#define CERTIFICATE_WARNING (21 * DAY)
