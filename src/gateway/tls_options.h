/* `tls:` at the top of the file: certificates, and what holds for the names that they are for.
 *
 *     tls: {cert: shop.pem, key: shop.key}            one
 *     tls:                                            several; the first also answers other names
 *       - {cert: shop.pem, key: shop.key}
 *       - {cert: admin.pem, key: admin.key, client-cert: required, ca: staff.pem}
 *     tls: {certificates: [...], min-version: "1.3"}  what holds for all of them
 *     tls: {acme: ops@shop.example}                   got from an authority (acme/options.h)
 *
 * What is written beside `certificates` holds for each that does not say otherwise. */
#pragma once

#include "acme/options.h"

/* enum tls_client_certificate (run/tls.h), in its order. */
extern const char *const tls_client_words[];

struct tls_pair_options {
    struct slice cert, key; /* files */
    struct place cert_place, key_place;
    struct option_list hosts; /* of struct slice: the names it answers; none: the certificate's */
    int client;               /* enum tls_client_certificate */
    struct slice ca;          /* the file of whom to trust about clients */
    struct slice ocsp;        /* a file, "fetch" or "off" */
    struct place client_place, ca_place, ocsp_place;
    bool has_client, has_ca, has_ocsp;
    struct place place;
};

struct tls_options {
    struct tls_pair_options own; /* what stands in `tls` itself */
    struct acme_options acme;
    struct option_list certificates; /* of struct tls_pair_options; with `own` when it is one */
    int least;                       /* enum tls_version */
    bool is_strict;
    bool uses_kernel;
    bool is_set;
    struct place place;
};

extern const struct option_table tls_table;
