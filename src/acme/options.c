#include "acme/options.h"

static const char *const challenge_words[] = {
    [ACME_ANY] = "any", [ACME_HTTP_ONLY] = "http-01", [ACME_TLS_ONLY] = "tls-alpn-01", NULL};

static const struct option binding_rows[] = {
    {"id", OPTION_TEXT, offsetof(struct acme_binding, id), .is_required = true,
        .help = "The key identifier (\"kid\") that the authority gave."},
    {"key", OPTION_SECRET, offsetof(struct acme_binding, key), .is_required = true,
        .help = "The secret (\"HMAC key\", base64url) that came with it; best from the "
                "environment, as ${ACME_KEY}, or from a file, {file: eab.key}."},
    {NULL}};

static const struct option_table binding_table = {.name = "eab",
    .help = "Binds the account to one that the authority knows otherwise (RFC 8555 §7.3.4).",
    .options = binding_rows,
    .size = sizeof(struct acme_binding)};

#define ACME(member) offsetof(struct acme_options, member)

static const struct option acme_rows[] = {
    {"email", OPTION_TEXT, ACME(email), .is_required = true,
        .help = "Where the authority writes when something is wrong. Getting certificates means to "
                "agree to its terms of service."},
    {"directory", OPTION_TEXT, ACME(directory), .place_offset = ACME(directory_place),
        .fallback = "https://acme-v02.api.letsencrypt.org/directory",
        .help = "The authority's directory (RFC 8555 §7.1.1): an https URL."},
    {"ca", OPTION_TEXT, ACME(ca), .place_offset = ACME(ca_place),
        .help = "The file (PEM) of whom to trust about the directory's own certificate; the "
                "system's authorities by default."},
    {"storage", OPTION_TEXT, ACME(storage), .place_offset = ACME(storage_place),
        .help = "The folder for the account, orders under way and certificates, which survive "
                "restarts there. By default `acme` in $STATE_DIRECTORY, which the systemd unit "
                "sets, else /var/lib/weir/acme."},
    {"eab", OPTION_STRUCT, ACME(binding), .table = &binding_table,
        .help = "For authorities that want to know their clients."},
    {"challenge", OPTION_CHOICE, ACME(challenge), .fallback = "any", .choices = challenge_words,
        .help =
            "How the authority sees that a name is ours: by a request to port 80 (http-01) or "
            "by a TLS handshake with port 443 (tls-alpn-01). `any` takes the first that can be, "
            "and after a failure the other."},
    {"retry", OPTION_DURATION, ACME(retry), .fallback = "1m", .minimum = 100000000,
        .maximum = INT64_MAX,
        .help =
            "How long to wait after a failure; each further one doubles it, up to six hours. An "
            "authority may ask for more."},
    {NULL}};

/* A relative path is below the configuration's folder. */
static bool resolve(struct reader *reader, struct place place, struct slice *path)
{
    if (path->size == 0 || !place.source)
        return true;
    *path = source_path(reader->arena, place.source, *path);
    return path->data != NULL;
}

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    struct acme_options *options = value;
    if (!resolve(reader, options->ca_place, &options->ca) ||
        !resolve(reader, options->storage_place, &options->storage))
        return NO_MEMORY;
    options->is_set = true;
    options->place = node->place;
    if (!slice_has_prefix(options->directory, SLICE("https://")))
        return diagnostics_error(reader->diagnostics, options->directory_place,
            SLICE("https://ca.example/directory"), "`directory` is an https URL");
    if (options->email.size == 0 || slice_find(options->email, '@') == options->email.size)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("acme: ops@shop.example"),
            "`email` is an e-mail address");
    return OK;
}

const struct option_table acme_table = {.name = "acme",
    .help =
        "Certificates from an authority that speaks ACME (RFC 8555), such as Let's Encrypt, for "
        "each name in `hosts` that no file is for. They are renewed after two thirds of their "
        "life. Until one is there, one that we signed ourselves answers.",
    .options = acme_rows,
    .size = sizeof(struct acme_options),
    .shorthand = "email",
    .check = check,
    .example = "tls: {acme: ops@shop.example}"};
