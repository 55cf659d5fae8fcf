#include "gateway/tls_options.h"

#include "route/hosts.h"
#include "run/tls.h"

const char *const tls_client_words[] = {
    [TLS_NOT_ASKED] = "none", [TLS_ASKED] = "optional", [TLS_REQUIRED] = "required", NULL};
static const char *const version_words[] = {[TLS_1_2] = "1.2", [TLS_1_3] = "1.3", NULL};

/* A certificate's names are host names or wildcards of one label. */
static enum status read_name(struct reader *reader, const struct node *node, void *ret_value)
{
    enum host_kind kind;
    struct slice name;
    enum status e = INVALID;
    if (node->kind == NODE_SCALAR)
        e = host_parse(reader->arena, node->text, &kind, &name);
    if (e == INVALID || (!e && slice_equal(node->text, SLICE("*"))))
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("shop.example or *.shop.example"), "this is not the name of a host");
    if (!e && kind == HOST_WILDCARD)
        name = arena_join(reader->arena, (const struct slice[]){SLICE("*."), name}, 2);
    if (!e)
        *(struct slice *)ret_value = name;
    return e || name.data ? e : NO_MEMORY;
}

static const struct option name_option = {"host", OPTION_CUSTOM, 0, .read = read_name,
    .form = "HOST", .schema = "{\"type\":\"string\"}", .help = "A host name or *.wildcard."};

#define PAIR(base, member) ((base) + offsetof(struct tls_pair_options, member))

/* In a list and in `tls` itself. */
#define PAIR_ROWS(base)                                                                            \
    {"cert", OPTION_TEXT, PAIR(base, cert), .place_offset = PAIR(base, cert_place),                \
        .help = "The file of the certificate (PEM), and behind it the chain up to its authority. " \
                "Relative to the configuration. It is watched, and read again when it changes."},  \
        {"key", OPTION_TEXT, PAIR(base, key), .place_offset = PAIR(base, key_place),               \
            .help = "The file of its private key (PEM), which only its owner should be able to "   \
                    "read."},                                                                      \
        {"hosts", OPTION_LIST, PAIR(base, hosts), .item = &name_option,                            \
            .item_size = sizeof(struct slice),                                                     \
            .help = "The names that are answered with it; those of the certificate when there "    \
                    "are none."},                                                                  \
        {"client-cert", OPTION_CHOICE, PAIR(base, client), .choices = tls_client_words,            \
            .is_set_offset = PAIR(base, has_client), .place_offset = PAIR(base, client_place),     \
            .help = "Whether clients show a certificate of their own: `optional` asks for one, "   \
                    "`required` lets nobody in without. One that is shown must be good."},         \
        {"ca", OPTION_TEXT, PAIR(base, ca), .is_set_offset = PAIR(base, has_ca),                   \
            .place_offset = PAIR(base, ca_place),                                                  \
            .help = "The file (PEM) of the authorities that clients' certificates come from."},    \
    {                                                                                              \
        "ocsp", OPTION_TEXT, PAIR(base, ocsp),                                                     \
            .is_set_offset = PAIR(base, has_ocsp), .place_offset = PAIR(base, ocsp_place),         \
            .form = "fetch, off or FILE",                                                          \
            .help = "Staples what the authority says about the certificate: `fetch` asks the "     \
                    "responder that the certificate names, now and then, in the background; a "    \
                    "file (DER) is read as it is. `off` by default."                               \
    }

static const struct option pair_rows[] = {PAIR_ROWS(0), {NULL}};

static enum status check_files(
    struct reader *reader, struct place place, const struct tls_pair_options *pair)
{
    if (pair->cert.size && pair->key.size)
        return OK;
    return diagnostics_error(reader->diagnostics, place,
        SLICE("tls: {cert: shop.pem, key: shop.key}"), "a certificate needs `cert` and `key`");
}

static enum status check_pair(struct reader *reader, const struct node *node, void *value)
{
    struct tls_pair_options *pair = value;
    pair->place = node->place;
    return check_files(reader, node->place, pair);
}

static const struct option_table pair_table = {.name = "certificate",
    .help =
        "A certificate with its key. Several may be for the same names, one of each kind of key "
        "(ECDSA, RSA): clients get the one that they understand.",
    .options = pair_rows,
    .size = sizeof(struct tls_pair_options),
    .check = check_pair,
    .example = "tls: [{cert: shop.pem, key: shop.key}, {cert: shop-rsa.pem, key: shop-rsa.key}]"};

#define TLS(member) offsetof(struct tls_options, member)

static const struct option tls_rows[] = {PAIR_ROWS(TLS(own)),
    {"acme", OPTION_STRUCT, TLS(acme), .table = &acme_table,
        .help = "Certificates from an authority that gives them away, for the names in `hosts`."},
    {"certificates", OPTION_LIST, TLS(certificates), .table = &pair_table,
        .help = "Several certificates. Each answers the names that it is for, exact ones before "
                "wildcards; the first also answers all others."},
    {"min-version", OPTION_CHOICE, TLS(least), .choices = version_words, .fallback = "1.2",
        .help = "The oldest version of TLS that is spoken."},
    {"strict", OPTION_FLAG, TLS(is_strict), .fallback = "false",
        .help =
            "Refuse clients that ask for a name which no certificate is for, instead of showing "
            "them the first."},
    {"kernel", OPTION_FLAG, TLS(uses_kernel), .fallback = "false",
        .help = "Let the kernel encrypt long answers, from 1 MiB on, of HTTP/1.1 over TLS 1.3, so "
                "that they need not come into the process. It needs a kernel with TLS (`modprobe "
                "tls`); with any other nothing changes. A client that asks for new keys then has "
                "to connect again."},
    {NULL}};

/* What `tls` itself says holds for those that say nothing. */
static void inherit(struct tls_pair_options *pair, const struct tls_pair_options *from)
{
    if (!pair->has_client && from->has_client) {
        pair->client = from->client;
        pair->client_place = from->client_place;
    }
    if (!pair->has_ca) {
        pair->ca = from->ca;
        pair->ca_place = from->ca_place;
    }
    if (!pair->has_ocsp) {
        pair->ocsp = from->ocsp;
        pair->ocsp_place = from->ocsp_place;
    }
}

static enum status check_clients(struct reader *reader, const struct tls_pair_options *pair)
{
    if (pair->client == TLS_NOT_ASKED || pair->ca.size)
        return OK;
    return diagnostics_error(reader->diagnostics, pair->client_place,
        SLICE("add `ca: clients.pem`"), "`client-cert` needs `ca`: whose certificates are good");
}

/* What holds for clients of certificates that come later stands in `tls` itself. */
static enum status check_place(struct tls_options *tls, const struct node *node)
{
    tls->own.place = node->place;
    return OK;
}

/* The one in `tls` itself is the first of all. */
static enum status take_own(struct reader *reader, const struct node *node, struct tls_options *tls)
{
    size_t count = tls->certificates.count, size = sizeof(struct tls_pair_options);
    if (!tls->own.cert.size && !tls->own.key.size && (count || tls->acme.is_set))
        return check_place(tls, node);
    enum status e = check_pair(reader, node, &tls->own);
    struct tls_pair_options *all = arena_array(reader->arena, count + 1, size);
    if (!all)
        return NO_MEMORY;
    if (count)
        memcpy(all + 1, tls->certificates.items, count * size);
    all[0] = tls->own;
    tls->certificates = (struct option_list){all, count + 1};
    return e;
}

static enum status check_tls(struct reader *reader, const struct node *node, void *value)
{
    struct tls_options *tls = value;
    tls->is_set = true;
    tls->place = node->place;
    enum status e = take_own(reader, node, tls);
    struct tls_pair_options *pairs = tls->certificates.items;
    for (size_t i = 0; !e && i < tls->certificates.count; i++) {
        inherit(&pairs[i], &tls->own);
        e = check_clients(reader, &pairs[i]);
    }
    return e;
}

const struct option_table tls_table = {.name = "tls",
    .help =
        "Certificates for the addresses in `listen: {https: …}`. TLS 1.2 and 1.3, as Mozilla's "
        "\"intermediate\" profile has them. Options beside `certificates` hold for each of them "
        "that does not say otherwise.",
    .options = tls_rows,
    .size = sizeof(struct tls_options),
    .shorthand = "certificates",
    .check = check_tls,
    .example = "tls: {cert: shop.pem, key: shop.key}"};
