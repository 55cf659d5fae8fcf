#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/base64.h"
#include "base/random.h"
#include "policy/auth_way.h"
#include "policy/claims.h"
#include "policy/hash_pool.h"
#include "policy/htpasswd.h"
#include "policy/token_memory.h"
#include "run/loop.h"

/* Names and passwords (RFC 7617) as a way to say who one is. Checking a password is slow by design
 * (hash_pool.h), so that one that was right is remembered for a while, by a digest under a key that
 * lives no longer than the configuration. A name that nobody has takes as long as a wrong password.
 */

#define DIGEST_KEY_SIZE 32

struct auth_basic {
    /* Options. */
    struct slice path;
    struct place path_place;
    int64_t remember, patience; /* nanoseconds */
    bool is_passed_on;

    /* Made by prepare. */
    struct watched_file *file;     /* the snapshot's, as the next two */
    struct hash_pool *pool;        /* NULL: there are no workers */
    struct token_memory *memories; /* one a worker */
    unsigned workers;
    unsigned char key[DIGEST_KEY_SIZE];
};

#define BASIC(member) offsetof(struct auth_basic, member)

static const struct option options[] = {
    {"file", OPTION_TEXT, BASIC(path), .place_offset = BASIC(path_place), .is_required = true,
        .help = "The users, as `htpasswd -B` writes them, \"name:hash\" on a line; hashes are "
                "bcrypt, SHA-crypt, yescrypt or Argon2. It is read again when it changes."},
    {"remember", OPTION_DURATION, BASIC(remember), .fallback = "5m", .minimum = 0, .maximum = DAY,
        .help = "How long a password that was right is not checked again, unless its hash "
                "changes; 0s: it always is."},
    {"patience", OPTION_DURATION, BASIC(patience), .fallback = "5s", .minimum = MILLISECOND,
        .maximum = MINUTE, .help = "How long a request waits at most for its password's turn."},
    {"pass", OPTION_FLAG, BASIC(is_passed_on), .fallback = "false",
        .help = "Whether the service gets Authorization, too."},
    {NULL},
};

static const struct option_table table = {
    .name = "basic",
    .help = "Names and passwords (RFC 7617), over TLS only if they are to stay secret. "
            "`claims.sub` is the name.",
    .options = options,
    .size = sizeof(struct auth_basic),
    .shorthand = "file",
    .example = "basic: users.htpasswd",
};

/* --- preparing */

static void release_key(void *value)
{
    struct auth_basic *basic = value;
    OPENSSL_cleanse(basic->key, sizeof basic->key);
}

static enum status prepare_basic(
    struct prepare *prepare, const struct auth_terms *terms, void *config)
{
    struct auth_basic *basic = config;
    (void)terms;
    enum status e =
        prepare_watched_file(prepare, &htpasswd_kind, basic->path_place, basic->path, &basic->file);
    if (!e)
        e = hash_pool_obtain(prepare, &basic->pool);
    if (!e)
        e = token_memories_new(prepare->reader->arena, prepare->workers, &basic->memories);
    basic->workers = prepare->workers;
    random_bytes(basic->key, sizeof basic->key);
    return e ? e : arena_defer(prepare->reader->arena, release_key, basic) ? OK : NO_MEMORY;
}

/* --- what came */

struct claimant {
    struct slice name, password;
    char hash[HTPASSWD_HASH_MAX];
    size_t hash_size;
    bool is_user; /* the hash is the name's, and no other one's */
};

/* Base64 of "name:password". False: it is something else. */
static bool read_claimant(struct exchange *x, struct slice credentials, struct claimant *claimant)
{
    size_t size;
    if (credentials.size > 2 * (HTPASSWD_NAME_MAX + PASSWORD_MAX))
        return false;
    char *room = arena_bytes(&x->arena, base64_decoded_size(credentials.size) + 1);
    if (!room || !base64_decode(credentials, BASE64_LENIENT, room, &size))
        return false;
    struct slice text = slice_of(room, size);
    size_t colon = slice_find(text, ':');
    claimant->name = slice_head(text, colon);
    claimant->password = slice_from(text, colon + 1);
    return colon < text.size && claimant->name.size && claimant->name.size <= HTPASSWD_NAME_MAX &&
           claimant->password.size <= PASSWORD_MAX;
}

/* The file may change while the password waits for its turn, so the hash is copied. */
static void find_hash(const struct auth_basic *basic, unsigned worker, struct claimant *claimant)
{
    const struct htpasswd *users = watched_file_hold(basic->file, worker);
    struct slice hash = htpasswd_find(users, claimant->name);
    claimant->is_user = hash.size > 0;
    if (!hash.size)
        hash = htpasswd_any(users);
    claimant->hash_size = hash.size;
    memcpy(claimant->hash, hash.data, hash.size);
    watched_file_let_go(basic->file, worker);
}

/* --- remembering */

#define DIGEST_SIZE 32

/* Of name, hash and password, each with its size, so that no two of them look alike. */
static enum status digest_of(const struct auth_basic *basic, const struct claimant *claimant,
    unsigned char ret_digest[EVP_MAX_MD_SIZE])
{
    char room[HTPASSWD_NAME_MAX + HTPASSWD_HASH_MAX + PASSWORD_MAX + 32];
    struct text text = text_fixed(room, sizeof room);
    size_t size;
    text_format(&text, "%zu %zu ", claimant->name.size, claimant->hash_size);
    text_add(&text, claimant->name);
    text_add(&text, slice_of(claimant->hash, claimant->hash_size));
    text_add(&text, claimant->password);
    bool is_made = !text.failed && EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, basic->key,
                                       sizeof basic->key, (const unsigned char *)text.data,
                                       text.size, ret_digest, EVP_MAX_MD_SIZE, &size);
    OPENSSL_cleanse(room, sizeof room);
    return is_made ? OK : NO_MEMORY;
}

static enum status remember(const struct auth_basic *basic, struct exchange *x,
    const struct claimant *claimant, struct slice digest)
{
    struct known_token *token;
    enum status e = known_token_new(digest, &token);
    if (e)
        return e;
    struct slice name = arena_copy(&token->arena, claimant->name);
    token->claims =
        name.data ? claims_add_text(&token->arena, claims_new(&token->arena), "sub", name) : NULL;
    if (!token->claims) {
        known_token_unref(token);
        return NO_MEMORY;
    }
    token->until = (clock_wall() + basic->remember) / SECOND;
    if (basic->remember && !x->is_rehearsal)
        token_memory_add(&basic->memories[x->worker], token);
    return known_token_lend(token, &x->arena, &x->claims);
}

/* --- serving */

static enum status check(
    const struct auth_basic *basic, struct exchange *x, const struct claimant *claimant)
{
    bool fits;
    instant deadline =
        x->is_rehearsal ? 0 : clock_sooner(x->deadline, clock_after(loop_now(), basic->patience));
    enum status e = hash_pool_verify(basic->pool, x, slice_of(claimant->hash, claimant->hash_size),
        claimant->password, deadline, &fits);
    if (e == FULL || e == TIMEOUT)
        return PASSWORDS_BUSY;
    return e ? e : fits && claimant->is_user ? OK : PASSWORD_WRONG;
}

static enum status identify_claimant(const struct auth_basic *basic, struct exchange *x,
    struct claimant *claimant, struct auth_finding *finding)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    struct slice digest = slice_of((const char *)bytes, DIGEST_SIZE);
    find_hash(basic, x->is_rehearsal ? basic->workers : x->worker, claimant);
    enum status e = digest_of(basic, claimant, bytes);
    if (e)
        return e;
    struct known_token *token =
        x->is_rehearsal || !claimant->is_user
            ? NULL
            : token_memory_find(&basic->memories[x->worker], digest, clock_wall() / SECOND);
    finding->was_known = token != NULL;
    if (token)
        return known_token_lend(token, &x->arena, &x->claims);
    e = check(basic, x, claimant);
    return e ? e : remember(basic, x, claimant, digest);
}

static enum status identify(
    const void *config, struct exchange *x, struct auth_finding *ret_finding)
{
    const struct auth_basic *basic = config;
    struct claimant claimant = {.hash_size = 0};
    struct slice credentials;
    enum status e = auth_credentials(x, SLICE("Basic"), &credentials);
    if (e)
        return e;
    if (!credentials.size)
        return CREDENTIALS_MISSING;
    if (!read_claimant(x, credentials, &claimant))
        return PASSWORD_WRONG;
    e = identify_claimant(basic, x, &claimant, ret_finding);
    if (!e && !basic->is_passed_on)
        fields_remove_known(&x->request.fields, FIELD_AUTHORIZATION);
    return e;
}

const struct auth_way basic_way = {
    .name = "basic",
    .options = &table,
    .scheme = "Basic",
    .prepare = prepare_basic,
    .identify = identify,
};
