#include "policy/auth_way.h"

#include "http/whole_body.h"
#include "jose/jws.h"
#include "policy/content_digest.h"
#include "policy/once.h"
#include "policy/signature_base.h"
#include "policy/signature_keys.h"

/* HTTP Message Signatures (RFC 9421) as a way to say who one is: a client signs its requests, and
 * is whom the key belongs to. A signature says what it covers; what it has to, is for the
 * configuration to say. The key fixes the algorithm, not the signature. */

#define SIGNATURES_MAX 8 /* of one request */
#define TRIES_MAX      4 /* of these that are verified */

enum nonce { NONCE_OPTIONAL, NONCE_REQUIRED, NONCE_IGNORED };

struct signature {
    struct slice keys;
    struct place keys_place;
    struct option_list covers; /* of struct slice; none: the usual */
    int64_t age_max, leeway;   /* nanoseconds */
    struct slice tag;
    int nonce;
    bool may_leave_body;
    int64_t body;
    struct once_options once_options;

    struct signature_keys signers;
    struct once once;
};

#define ROW(member) offsetof(struct signature, member)

static const char *const nonce_words[] = {"optional", "required", "ignored", NULL};
static const struct option cover_item = {.name = "component", .kind = OPTION_TEXT};

static const struct option options[] = {
    {"keys", OPTION_TEXT, ROW(keys), .is_required = true, .place_offset = ROW(keys_place),
        .help = "A file with a JWK Set, or its text. Each key has a `kid`, which signatures call "
                "`keyid`, says by its kind or `alg` what it is for, and has the `claims` of whom "
                "it belongs to: {\"kid\": \"acme-1\", ..., \"claims\": {\"sub\": \"acme\"}}. It is "
                "read again with each reload."},
    {"covers", OPTION_LIST, ROW(covers), .item = &cover_item, .item_size = sizeof(struct slice),
        .help = "What a signature has to cover: fields, and @method, @target-uri, @authority, "
                "@path, @query, @scheme, @request-target. By default @method and @target-uri (or "
                "what it is made of). content-digest besides, where there is a body."},
    {"max-age", OPTION_DURATION, ROW(age_max), .fallback = "5m", .minimum = 0, .maximum = DAY,
        .help = "How long after `created` a signature is good; 0s: as long as `expires` says."},
    {"leeway", OPTION_DURATION, ROW(leeway), .fallback = "30s", .minimum = 0,
        .maximum = 10 * MINUTE, .help = "How far clocks may be apart."},
    {"tag", OPTION_TEXT, ROW(tag),
        .help = "Only signatures with this `tag` count; others may be there for others."},
    {"nonce", OPTION_CHOICE, ROW(nonce), .choices = nonce_words, .fallback = "optional",
        .help = "Whether a signature must have a `nonce`. One that it has is good once, unless "
                "`ignored`."},
    {"unsigned-body", OPTION_FLAG, ROW(may_leave_body), .fallback = "false",
        .help = "Whether a body may come of which the signature does not cover content-digest."},
    {"body", OPTION_SIZE, ROW(body), .fallback = "1MiB", .minimum = 0, .maximum = 64 << 20,
        .help = "The largest body whose digest is checked: it is read whole. 413 beyond."},
    ONCE_STORE_ROW(struct signature, once_options),
    ONCE_UNAVAILABLE_ROW(struct signature, once_options),
    {NULL},
};

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    struct signature *signature = value;
    int64_t window = signature->age_max ? signature->age_max : DAY;
    if (signature->age_max == 0 && signature->nonce == NONCE_REQUIRED)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("max-age: 5m"),
            "a nonce can be remembered only as long as a signature is good");
    signature->once_options.remember =
        signature->nonce == NONCE_IGNORED ? 0 : window + 2 * signature->leeway + SECOND;
    return OK;
}

static const struct option_table table = {
    .name = "signature",
    .help = "HTTP Message Signatures (RFC 9421): hmac-sha256, ed25519, ecdsa-p256-sha256, "
            "ecdsa-p384-sha384, rsa-pss-sha512 and rsa-v1_5-sha256.",
    .options = options,
    .size = sizeof(struct signature),
    .shorthand = "keys",
    .check = check,
    .example = "signature: {keys: partners.json, covers: [\"@method\", \"@target-uri\"]}",
};

/* --- preparing */

static enum status read_keys(struct prepare *prepare, struct signature *signature)
{
    struct arena *arena = prepare->reader->arena;
    const char *why = NULL;
    const struct source *source;
    struct slice text = slice_trim(signature->keys);
    if (!slice_has_prefix(text, SLICE("{"))) {
        struct slice path = source_path(arena, signature->keys_place.source, text);
        enum status e =
            path.data ? source_read(arena, path, JOSE_SET_SIZE_MAX, &source) : NO_MEMORY;
        if (e)
            return diagnostics_error(prepare->reader->diagnostics, signature->keys_place,
                SLICE_NONE, "the file \"%.*s\" cannot be read: %s",
                SLICE_ARG(slice_head(text, 200)), status_sentence(e));
        text = source->text;
    }
    enum status e = signature_keys_read(arena, text, &signature->signers, &why);
    if (e == INVALID)
        return diagnostics_error(prepare->reader->diagnostics, signature->keys_place, SLICE_NONE,
            "these keys cannot be used: %s", why ? why : "they are no JSON");
    return e;
}

static void release_keys(void *keys)
{
    signature_keys_release(keys);
}

static enum status prepare(struct prepare *prepare, const struct auth_terms *terms, void *config)
{
    struct signature *signature = config;
    (void)terms;
    enum status e = read_keys(prepare, signature);
    if (e)
        return e;
    if (arena_own(prepare->reader->arena, release_keys, &signature->signers))
        return NO_MEMORY;
    return once_prepare(prepare, &signature->once_options, &signature->once);
}

/* --- what a signature says of itself */

struct claim {
    const struct structured_member *input; /* of Signature-Input */
    struct slice bytes;                    /* the signature */
    struct slice key, nonce, algorithm;
    int64_t created, expires; /* seconds since 1970; 0: it does not say */
};

static bool read_text(
    const struct structured_member *input, struct slice key, struct slice *ret_text)
{
    const struct structured_value *value = structured_get_parameter(input, key);
    *ret_text = value ? value->text : SLICE_NONE;
    return !value || (value->type == STRUCTURED_STRING && value->text.size);
}

static bool read_time(const struct structured_member *input, struct slice key, int64_t *ret_seconds)
{
    const struct structured_value *value = structured_get_parameter(input, key);
    *ret_seconds = value ? value->number : 0;
    return !value || (value->type == STRUCTURED_INTEGER && value->number > 0);
}

static bool read_claim(const struct structured_member *input,
    const struct structured_member *signatures, struct claim *claim)
{
    const struct structured_member *signature = structured_get(signatures, input->key);
    if (input->value.type != STRUCTURED_INNER_LIST || !signature ||
        signature->value.type != STRUCTURED_BYTES)
        return false;
    claim->input = input;
    claim->bytes = signature->value.text;
    return read_text(input, SLICE("keyid"), &claim->key) &&
           read_text(input, SLICE("nonce"), &claim->nonce) &&
           read_text(input, SLICE("alg"), &claim->algorithm) &&
           read_time(input, SLICE("created"), &claim->created) &&
           read_time(input, SLICE("expires"), &claim->expires);
}

static enum status check_times(const struct signature *signature, const struct claim *claim)
{
    int64_t now = clock_wall() / SECOND, leeway = signature->leeway / SECOND;
    int64_t age_max = signature->age_max / SECOND;
    if (age_max ? !claim->created : !claim->expires)
        return SIGNATURE_COVERAGE;
    if (claim->created > now + leeway)
        return SIGNATURE_NOT_YET_VALID;
    if (age_max && claim->created < now - age_max - leeway)
        return SIGNATURE_EXPIRED;
    return claim->expires && claim->expires < now - leeway ? SIGNATURE_EXPIRED : OK;
}

static bool covers_all(const struct signature *signature, const struct claim *claim)
{
    static const struct slice usual[] = {SLICE_INIT("@method"), SLICE_INIT("@target-uri")};
    const struct slice *names = signature->covers.count ? signature->covers.items : usual;
    size_t count = signature->covers.count ? signature->covers.count : 2;
    for (size_t i = 0; i < count; i++)
        if (!signature_covers(claim->input, names[i]))
            return false;
    return true;
}

/* --- verifying */

static enum status verify_bytes(const struct signature *signature, struct exchange *x,
    const struct claim *claim, const struct signature_key *key)
{
    struct text text = text_growing(0);
    enum status e = signature_base_write(&x->arena, &x->request, claim->input, &text);
    if (!e) {
        const struct jws jws = {.algorithm = key->algorithm,
            .id = key->id,
            .input = text_slice(&text),
            .signature = claim->bytes};
        e = jws_verify(&jws, signature->signers.set);
        e = e && e != NO_MEMORY ? SIGNATURE_WRONG : e;
    } else if (e != NO_MEMORY) {
        e = SIGNATURE_COVERAGE;
    }
    text_release(&text);
    return e;
}

/* Without a body there is nothing that a digest could be of, but one that is covered has to hold.
 * What comes behind a handshake for a WebSocket is no body. */
static enum status check_body(
    const struct signature *signature, struct exchange *x, const struct claim *claim)
{
    struct slice body = SLICE(""), only = SLICE_NONE;
    bool is_empty = x->is_websocket || body_is_empty(x->request.body);
    const struct structured_member *item =
        signature_find_component(claim->input, SLICE("content-digest"));
    if (x->is_rehearsal)
        return OK;
    if (!item)
        return signature->may_leave_body || is_empty ? OK : SIGNATURE_COVERAGE;
    const struct structured_value *key = structured_get_parameter(item, SLICE("key"));
    if (key)
        only = key->text;
    enum status e = is_empty ? OK : whole_body_take(x, (size_t)signature->body, &body);
    return e ? e
             : content_digest_check(&x->arena,
                   fields_combined(&x->request.fields, SLICE("content-digest")), only, body);
}

/* After all else, so that who has no key fills no store. */
static enum status check_nonce(
    const struct signature *signature, struct exchange *x, const struct claim *claim)
{
    enum once_verdict verdict = ONCE_FIRST;
    if (signature->nonce == NONCE_REQUIRED && !claim->nonce.size)
        return SIGNATURE_COVERAGE;
    if (x->is_rehearsal || !claim->nonce.size || !signature->once.store)
        return OK;
    const struct slice parts[] = {claim->key, SLICE("\n"), claim->nonce};
    struct slice id = arena_join(&x->arena, parts, 3);
    enum status e = id.data ? once_see(&signature->once, x, id, &verdict) : NO_MEMORY;
    return e ? e : verdict == ONCE_FIRST ? OK : SIGNATURE_REPLAYED;
}

static enum status verify(
    const struct signature *signature, struct exchange *x, const struct claim *claim)
{
    const struct signature_key *key = signature_keys_find(&signature->signers, claim->key);
    if (!key || (claim->algorithm.size &&
                    !slice_equal(claim->algorithm, signature_algorithm_name(key->algorithm))))
        return SIGNATURE_KEY;
    enum status e = covers_all(signature, claim) ? OK : SIGNATURE_COVERAGE;
    if (!e)
        e = check_times(signature, claim);
    if (!e)
        e = verify_bytes(signature, x, claim, key);
    if (!e)
        e = check_body(signature, x, claim);
    if (!e)
        e = check_nonce(signature, x, claim);
    if (!e)
        x->claims = key->claims;
    return e;
}

static bool is_meant(const struct signature *signature, const struct structured_member *input)
{
    struct slice tag;
    return !signature->tag.size ||
           (read_text(input, SLICE("tag"), &tag) && slice_equal(tag, signature->tag));
}

/* Others may have signed as well: one that is good will do. What is told is why the first is not.
 */
static enum status try_all(const struct signature *signature, struct exchange *x,
    const struct structured_member *inputs, const struct structured_member *signatures)
{
    enum status outcome = OK;
    unsigned count = 0, tries = 0;
    for (const struct structured_member *input = inputs; input; input = input->next) {
        struct claim claim;
        if (++count > SIGNATURES_MAX)
            return SIGNATURE_MALFORMED;
        if (!is_meant(signature, input) || tries++ >= TRIES_MAX)
            continue;
        enum status e = read_claim(input, signatures, &claim) ? verify(signature, x, &claim)
                                                              : SIGNATURE_MALFORMED;
        if (!e || status_http(e) != 401)
            return e;
        outcome = outcome ? outcome : e;
    }
    return outcome ? outcome : CREDENTIALS_MISSING;
}

static enum status identify(
    const void *config, struct exchange *x, struct auth_finding *ret_finding)
{
    const struct signature *signature = config;
    const struct fields *fields = &x->request.fields;
    struct structured_member *inputs, *signatures;
    struct slice input_text = fields_combined(fields, SLICE("signature-input"));
    struct slice text = fields_combined(fields, SLICE("signature"));
    (void)ret_finding;
    if (!input_text.data && !text.data)
        return CREDENTIALS_MISSING;
    enum status e = structured_parse_dictionary(&x->arena, input_text, &inputs);
    if (!e)
        e = structured_parse_dictionary(&x->arena, text, &signatures);
    if (e)
        return e == NO_MEMORY ? e : SIGNATURE_MALFORMED;
    return try_all(signature, x, inputs, signatures);
}

const struct auth_way signature_way = {
    .name = "signature",
    .options = &table,
    .scheme = "Signature",
    .prepare = prepare,
    .identify = identify,
};
