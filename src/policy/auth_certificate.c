#include "policy/auth_way.h"
#include "policy/claims.h"

/* Certificates as a way to say who one is: what a client has shown in TLS, where the listener asks
 * for it (`tls: {client-cert: optional, ca: …}`). The handshake has proved that it comes from one
 * of the authorities and that the client has its key; here it is held against who is let in. */

enum subject_source { SUBJECT_NAME, SUBJECT_SUBJECT, SUBJECT_FINGERPRINT };

struct auth_certificate {
    struct option_list names, subjects, fingerprints; /* of struct slice */
    int source;                                       /* enum subject_source */
};

#define CERTIFICATE(member) offsetof(struct auth_certificate, member)

static const struct option pattern_item = {.kind = OPTION_TEXT};
static const char *const sources[] = {"name", "subject", "fingerprint", NULL};

static const struct option options[] = {
    {"names", OPTION_LIST, CERTIFICATE(names), .item = &pattern_item,
        .item_size = sizeof(struct slice),
        .help = "Who is let in, by one of the alternative names (DNS, e-mail, URI, address): "
                "spiffe://shop.example/cart, *.internal. \"*\" is anything but \".\" and \"/\", "
                "\"**\" anything."},
    {"subjects", OPTION_LIST, CERTIFICATE(subjects), .item = &pattern_item,
        .item_size = sizeof(struct slice),
        .help = "The same by the subject, as RFC 2253 writes it: CN=alice,O=Shop."},
    {"fingerprints", OPTION_LIST, CERTIFICATE(fingerprints), .item = &pattern_item,
        .item_size = sizeof(struct slice),
        .help = "The same by the SHA-256 of the certificate, 64 hexadecimal digits."},
    {"sub", OPTION_CHOICE, CERTIFICATE(source), .choices = sources, .fallback = "name",
        .help = "What `claims.sub` is: the first alternative name (the subject, if there is none), "
                "the subject, or the fingerprint."},
    {NULL},
};

/* Colons between the bytes, as openssl shows them, and upper case, are fine. */
static enum status tidy_fingerprint(struct reader *reader, struct slice *fingerprint)
{
    char *digits = arena_bytes(reader->arena, fingerprint->size + 1);
    size_t size = 0;
    if (!digits)
        return NO_MEMORY;
    for (size_t i = 0; i < fingerprint->size; i++) {
        char c = fingerprint->data[i];
        if (c >= 'A' && c <= 'F')
            c = (char)(c - 'A' + 'a');
        if (c == ':')
            continue;
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return INVALID;
        digits[size++] = c;
    }
    *fingerprint = slice_of(digits, size);
    return size == 64 ? OK : INVALID;
}

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    const struct auth_certificate *certificate = value;
    struct slice *fingerprints = certificate->fingerprints.items;
    for (size_t i = 0; i < certificate->fingerprints.count; i++) {
        enum status e = tidy_fingerprint(reader, &fingerprints[i]);
        if (e == INVALID)
            return diagnostics_error(reader->diagnostics, node->place, SLICE_NONE,
                "a fingerprint has 64 hexadecimal digits");
        if (e)
            return e;
    }
    return OK;
}

static const struct option_table table = {
    .name = "certificate",
    .help = "Certificates that clients show in TLS (`tls: {client-cert: optional, ca: …}`). Any "
            "that the authorities vouch for, or those on the lists.",
    .options = options,
    .size = sizeof(struct auth_certificate),
    .shorthand = "names",
    .check = check,
    .example = "certificate: \"spiffe://shop.example/*\"",
};

/* --- who is let in */

#define NO_STAR SIZE_MAX

/* Where a star of the pattern ends, and the first byte of the text behind what it stands for. */
struct star {
    size_t behind, text;
};

/* Goes on behind the newest star that can stand for one byte more; false: none can. */
static bool stretch(struct slice text, struct star *narrow, struct star *wide, struct star *ret)
{
    struct star *star = narrow;
    if (narrow->behind == NO_STAR || text.data[narrow->text] == '.' ||
        text.data[narrow->text] == '/') {
        narrow->behind = NO_STAR;
        star = wide;
    }
    if (star->behind == NO_STAR)
        return false;
    star->text++;
    *ret = *star;
    return true;
}

static bool is_like(struct slice pattern, struct slice text)
{
    struct star narrow = {NO_STAR, 0}, wide = {NO_STAR, 0}, at = {0, 0};
    while (at.text < text.size) {
        struct slice rest = slice_from(pattern, at.behind);
        if (slice_has_prefix(rest, SLICE("**"))) {
            at.behind += 2;
            wide = at;
            narrow.behind = NO_STAR;
        } else if (slice_has_prefix(rest, SLICE("*"))) {
            at.behind++;
            narrow = at;
        } else if (rest.size && *rest.data == text.data[at.text]) {
            at.behind++;
            at.text++;
        } else if (!stretch(text, &narrow, &wide, &at)) {
            return false;
        }
    }
    while (at.behind < pattern.size && pattern.data[at.behind] == '*')
        at.behind++;
    return at.behind == pattern.size;
}

static bool is_listed(const struct option_list *list, struct slice text)
{
    const struct slice *patterns = list->items;
    for (size_t i = 0; i < list->count; i++)
        if (is_like(patterns[i], text))
            return true;
    return false;
}

static bool is_let_in(
    const struct auth_certificate *config, const struct tls_certificate *certificate)
{
    if (!config->names.count && !config->subjects.count && !config->fingerprints.count)
        return true;
    for (size_t i = 0; i < certificate->name_count; i++)
        if (is_listed(&config->names, certificate->names[i]))
            return true;
    return is_listed(&config->subjects, certificate->subject) ||
           is_listed(&config->fingerprints, certificate->fingerprint);
}

/* --- serving */

static const struct tls_certificate *shown(const struct exchange *x)
{
    const struct tls_certificate *supposed = x->supposed ? &x->supposed->certificate : NULL;
    if (supposed)
        return supposed->fingerprint.size || supposed->subject.size || supposed->name_count
                   ? supposed
                   : NULL;
    return x->tls ? tls_certificate(x->tls) : NULL;
}

static struct slice subject_of(
    const struct auth_certificate *config, const struct tls_certificate *certificate)
{
    if (config->source == SUBJECT_FINGERPRINT)
        return certificate->fingerprint;
    return config->source == SUBJECT_NAME && certificate->name_count ? certificate->names[0]
                                                                     : certificate->subject;
}

static enum status identify(
    const void *config, struct exchange *x, struct auth_finding *ret_finding)
{
    const struct auth_certificate *own = config;
    const struct tls_certificate *certificate = shown(x);
    struct arena *arena = &x->arena;
    (void)ret_finding;
    if (!certificate)
        return CREDENTIALS_MISSING;
    if (!is_let_in(own, certificate))
        return CERTIFICATE_DENIED;
    struct json_value *claims = claims_new(arena);
    claims = claims_add_texts(arena, claims, "names", certificate->names, certificate->name_count);
    claims = claims_add_text(arena, claims, "serial", certificate->serial);
    claims = claims_add_text(arena, claims, "issuer", certificate->issuer);
    claims = claims_add_text(arena, claims, "fingerprint", certificate->fingerprint);
    claims = claims_add_text(arena, claims, "subject", certificate->subject);
    claims = claims_add_text(arena, claims, "sub", subject_of(own, certificate));
    x->claims = claims;
    return claims ? OK : NO_MEMORY;
}

const struct auth_way certificate_way = {
    .name = "certificate", .options = &table, .identify = identify};
