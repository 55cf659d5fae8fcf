#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "http/uri.h"
#include "policy/auth_way.h"
#include "policy/key_book.h"
#include "policy/reserved_fields.h"

/* API keys as a way to say who one is: random texts that consumers are given. The file that knows
 * them (key_book.h) is read again when it changes. */

/* A book that a worker uses. Exchanges count it as long as they ask for claims, some of them for a
 * moment longer than the snapshot lives. */
struct lease {
    _Atomic unsigned users;
    struct key_book *book; /* counted */
};

/* What one worker has; the one behind the last is the control thread's. */
struct seat {
    _Alignas(64) struct lease *lease; /* counted; NULL: not needed yet */
    EVP_MD_CTX *digest;               /* owned */
};

struct auth_keys {
    /* Options. */
    struct slice path, header, query, scheme;
    struct place path_place, header_place;
    bool is_passed_on;

    /* Made by prepare. */
    enum field_id header_id;
    struct watched_file *file; /* the snapshot's */
    struct seat *seats;        /* owned, as many as */
    unsigned seat_count;
};

#define KEYS(member) offsetof(struct auth_keys, member)

static const struct option options[] = {
    {"file", OPTION_TEXT, KEYS(path), .place_offset = KEYS(path_place), .is_required = true,
        .help = "The consumers, one a line: {\"name\": \"acme\", \"sha256\": \"…\", \"plan\": "
                "\"pro\"}; `weir key` makes a key and its line. It is read again when it changes."},
    {"header", OPTION_TEXT, KEYS(header), .place_offset = KEYS(header_place),
        .help = "The field that has the key. By default X-API-Key, when neither `query` nor "
                "`scheme` is set."},
    {"query", OPTION_TEXT, KEYS(query),
        .help = "The parameter that has the key, for clients that cannot set fields. What is in a "
                "query ends up in histories and logs of others."},
    {"scheme", OPTION_TEXT, KEYS(scheme),
        .help = "The scheme in Authorization behind which the key is: ApiKey."},
    {"pass", OPTION_FLAG, KEYS(is_passed_on), .fallback = "false",
        .help = "Whether the service gets the key, too."},
    {NULL},
};

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    struct auth_keys *keys = value;
    if (!keys->header.size && !keys->query.size && !keys->scheme.size)
        keys->header = SLICE("X-API-Key");
    const char *problem = keys->header.size ? reserved_field_problem(keys->header) : NULL;
    if (problem)
        return diagnostics_error(reader->diagnostics, keys->header_place, SLICE_NONE,
            "the field \"%.*s\" cannot have the key: %s", SLICE_ARG(slice_head(keys->header, 100)),
            problem);
    if (keys->scheme.size && !field_name_is_valid(keys->scheme))
        return diagnostics_error(
            reader->diagnostics, node->place, SLICE("scheme: ApiKey"), "a scheme is one word");
    return OK;
}

static const struct option_table table = {
    .name = "keys",
    .help = "API keys, each of a consumer with a name, a plan and whatever else, all of which "
            "becomes claims. Only digests of keys are kept.",
    .options = options,
    .size = sizeof(struct auth_keys),
    .shorthand = "file",
    .check = check,
    .example = "keys: consumers.jsonl",
};

/* --- preparing */

static void lease_unref(void *lease)
{
    struct lease *own = lease;
    if (!own || atomic_fetch_sub_explicit(&own->users, 1, memory_order_acq_rel) > 1)
        return;
    key_book_unref(own->book);
    free(own);
}

static void release_seats(void *value)
{
    struct auth_keys *keys = value;
    for (unsigned i = 0; i < keys->seat_count; i++) {
        lease_unref(keys->seats[i].lease);
        EVP_MD_CTX_free(keys->seats[i].digest);
    }
    free(keys->seats);
}

static enum status make_seats(struct prepare *prepare, struct auth_keys *keys)
{
    size_t size = (prepare->workers + 1) * sizeof *keys->seats;
    keys->seats = aligned_alloc(_Alignof(struct seat), size);
    if (!keys->seats)
        return NO_MEMORY;
    memset(keys->seats, 0, size);
    keys->seat_count = prepare->workers + 1;
    if (arena_own(prepare->reader->arena, release_seats, keys))
        return NO_MEMORY;
    for (unsigned i = 0; i < keys->seat_count; i++) {
        keys->seats[i].digest = EVP_MD_CTX_new();
        if (!keys->seats[i].digest ||
            EVP_DigestInit_ex(keys->seats[i].digest, EVP_sha256(), NULL) != 1)
            return NO_MEMORY;
    }
    return OK;
}

static enum status prepare_keys(
    struct prepare *prepare, const struct auth_terms *terms, void *config)
{
    struct auth_keys *keys = config;
    (void)terms;
    keys->header_id = field_id_of(keys->header);
    enum status e =
        prepare_watched_file(prepare, &key_book_kind, keys->path_place, keys->path, &keys->file);
    return e ? e : make_seats(prepare, keys);
}

/* --- finding a key */

static const struct field *next_header(
    const struct auth_keys *keys, const struct fields *fields, const struct field *after)
{
    return keys->header_id ? fields_next(fields, keys->header_id, after)
                           : fields_next_named(fields, keys->header, after);
}

/* Empty: none came. API_KEY_UNKNOWN: it cannot be said which one it is. */
static enum status find_key(const struct auth_keys *keys, struct exchange *x, struct slice *ret_key)
{
    const struct fields *fields = &x->request.fields;
    const struct field *field = keys->header.size ? next_header(keys, fields, NULL) : NULL;
    *ret_key = SLICE_NONE;
    if (field && next_header(keys, fields, field))
        return API_KEY_UNKNOWN;
    if (field)
        *ret_key = field->value;
    if (!ret_key->size && keys->scheme.size && auth_credentials(x, keys->scheme, ret_key))
        return API_KEY_UNKNOWN;
    if (!ret_key->size && keys->query.size)
        *ret_key = uri_query_value(&x->arena, x->request.query, keys->query);
    return OK;
}

/* The service need not know it, wherever it came. */
static enum status take_out(const struct auth_keys *keys, struct exchange *x)
{
    struct slice rest;
    if (keys->header.size)
        fields_remove(&x->request.fields, keys->header);
    if (keys->scheme.size && !auth_credentials(x, keys->scheme, &rest) && rest.size)
        fields_remove_known(&x->request.fields, FIELD_AUTHORIZATION);
    if (!keys->query.size || !uri_query_value(&x->arena, x->request.query, keys->query).data)
        return OK;
    return uri_query_without(&x->arena, x->request.query, keys->query, &x->request.query);
}

/* --- looking it up */

/* The file as it is now. NULL: no memory. */
static struct lease *newest_lease(const struct auth_keys *keys, struct seat *seat, unsigned worker)
{
    struct key_book *book = (struct key_book *)watched_file_hold(keys->file, worker);
    if (!seat->lease || seat->lease->book != book) {
        lease_unref(seat->lease);
        seat->lease = malloc(sizeof *seat->lease);
        if (seat->lease) {
            key_book_ref(book);
            *seat->lease = (struct lease){.book = book};
            atomic_init(&seat->lease->users, 1);
        }
    }
    watched_file_let_go(keys->file, worker);
    return seat->lease;
}

static enum status look_up(const struct auth_keys *keys, struct exchange *x, struct slice key)
{
    unsigned worker = x->is_rehearsal ? keys->seat_count - 1 : x->worker;
    struct seat *seat = &keys->seats[worker];
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct lease *lease = newest_lease(keys, seat, worker);
    if (!lease || EVP_DigestInit_ex2(seat->digest, NULL, NULL) != 1 ||
        EVP_DigestUpdate(seat->digest, key.data, key.size) != 1 ||
        EVP_DigestFinal_ex(seat->digest, digest, NULL) != 1)
        return NO_MEMORY;
    const struct consumer *consumer = key_book_find(lease->book, digest);
    if (!consumer)
        return API_KEY_UNKNOWN;
    if (consumer->until != INT64_MAX && clock_wall() / SECOND >= consumer->until)
        return API_KEY_EXPIRED;
    atomic_fetch_add_explicit(&lease->users, 1, memory_order_relaxed);
    if (arena_own(&x->arena, lease_unref, lease))
        return NO_MEMORY;
    x->claims = consumer->claims;
    return OK;
}

static enum status identify(
    const void *config, struct exchange *x, struct auth_finding *ret_finding)
{
    const struct auth_keys *keys = config;
    struct slice key;
    (void)ret_finding;
    enum status e = find_key(keys, x, &key);
    if (!e)
        e = key.size ? look_up(keys, x, key) : CREDENTIALS_MISSING;
    return e || keys->is_passed_on ? e : take_out(keys, x);
}

const struct auth_way keys_way = {
    .name = "keys",
    .options = &table,
    .scheme = "ApiKey",
    .prepare = prepare_keys,
    .identify = identify,
};
