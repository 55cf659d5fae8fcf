/* `acme:` in `tls:`: certificates from an authority that gives them away.
 *
 *     tls: {acme: ops@shop.example}
 *     tls: {acme: {email: ops@shop.example, directory: "https://ca.internal/acme", ca: root.pem}}
 */
#pragma once

#include "config/option.h"

enum acme_choice { ACME_ANY, ACME_HTTP_ONLY, ACME_TLS_ONLY };

struct acme_binding {
    struct slice id, key;
};

struct acme_options {
    struct slice email;
    struct slice directory;
    struct slice ca;      /* a file: whom to trust about the directory; empty: the system's */
    struct slice storage; /* a folder; empty: the usual one */
    struct acme_binding binding;
    int challenge; /* enum acme_choice */
    int64_t retry; /* nanoseconds after the first failure */
    struct place directory_place, ca_place, storage_place;
    bool is_set;
    struct place place;
};

extern const struct option_table acme_table;
