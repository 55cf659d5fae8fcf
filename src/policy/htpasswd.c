#include "policy/htpasswd.h"

#include <argon2.h>
#include <crypt.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/table.h"

#define USERS_MAX        ((size_t)1 << 20)

#define TEXT_OF(number)  #number
#define DIGITS_OF(limit) TEXT_OF(limit)

/* Of a password that nobody knows, where a file has no hash to borrow. */
#define NOBODYS "$2y$10$DQR2Yemey8O/OoLSa.W49e39crac0jNmlFvWFiBtAzm7kGh43jbIq"

struct htpasswd {
    struct arena arena;
    struct table users;
    struct slice any;
};

struct user {
    struct slice hash;
};

/* --- which hashes are taken */

/* "name=" and a number, somewhere in the hash; 0: it is not there. */
static uint64_t parameter(struct slice hash, const char *name)
{
    size_t at = slice_find_slice(hash, slice_of_text(name));
    struct slice rest = slice_from(hash, at + strlen(name));
    uint64_t value = 0;
    size_t digits = 0;
    while (digits < rest.size && rest.data[digits] >= '0' && rest.data[digits] <= '9')
        digits++;
    return slice_to_u64(slice_head(rest, digits), &value) ? value : digits ? UINT64_MAX : 0;
}

static const char *bcrypt_problem(struct slice hash)
{
    uint64_t cost;
    if (hash.size != 60 || !slice_to_u64(slice_of(hash.data + 4, 2), &cost))
        return "has a hash that is cut short";
    return cost > HTPASSWD_BCRYPT_COST_MAX
               ? "has a hash that takes too long: the cost is over " DIGITS_OF(
                     HTPASSWD_BCRYPT_COST_MAX)
               : NULL;
}

static const char *sha_problem(struct slice hash)
{
    return parameter(hash, "$rounds=") > HTPASSWD_SHA_ROUNDS_MAX
               ? "has a hash that takes too long: it has more than " DIGITS_OF(
                     HTPASSWD_SHA_ROUNDS_MAX) " rounds"
               : NULL;
}

static const char *argon_problem(struct slice hash)
{
    uint64_t memory = parameter(hash, "m="), passes = parameter(hash, "t="),
             lanes = parameter(hash, "p=");
    if (!memory || !passes || !lanes)
        return "has a hash that is cut short";
    if (memory > HTPASSWD_ARGON_MEMORY_MAX)
        return "has a hash that takes too much memory: m is over " DIGITS_OF(
            HTPASSWD_ARGON_MEMORY_MAX) " KiB";
    if (passes > HTPASSWD_ARGON_WORK_MAX / memory)
        return "has a hash that takes too long: m times t is over " DIGITS_OF(
            HTPASSWD_ARGON_WORK_MAX) " KiB";
    return lanes > HTPASSWD_ARGON_LANES_MAX
               ? "has a hash that takes too many threads: p is over " DIGITS_OF(
                     HTPASSWD_ARGON_LANES_MAX)
               : NULL;
}

/* crypt(3)'s own digits; those above 47 begin a number of several, of which no usual hash has one.
 * 0: it is none. */
static unsigned yescrypt_number(char c)
{
    static const char digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijkl";
    const char *at = c ? strchr(digits, c) : NULL;
    return at && at - digits < 48 ? (unsigned)(at - digits) + 1 : 0;
}

/* "$y$", the flavour j, the logarithm of N, r, "$": what crypt_gensalt writes. The others (p, t, g,
 * a ROM) would make it more expensive still. */
static const char *yescrypt_problem(struct slice hash)
{
    if (hash.size < 7 || hash.data[3] != 'j' || hash.data[6] != '$' ||
        !yescrypt_number(hash.data[4]) || !yescrypt_number(hash.data[5]))
        return "has a hash with parameters that are not taken: make it with `mkpasswd -m yescrypt`";
    unsigned log = yescrypt_number(hash.data[4]);
    uint64_t block = 128 * (uint64_t)yescrypt_number(hash.data[5]); /* bytes, N of them */
    return block << log > (uint64_t)HTPASSWD_YESCRYPT_MEMORY_MAX << 10
               ? "has a hash that takes too much memory: N times r is over " DIGITS_OF(
                     HTPASSWD_YESCRYPT_MEMORY_MAX) " KiB"
               : NULL;
}

static const struct {
    struct slice prefix;
    const char *(*problem)(struct slice hash); /* NULL: none */
    int argon;                                 /* enum Argon2_type; -1: it is of crypt */
} kinds[] = {
    {SLICE_INIT("$2y$"), bcrypt_problem, -1},
    {SLICE_INIT("$2b$"), bcrypt_problem, -1},
    {SLICE_INIT("$2a$"), bcrypt_problem, -1},
    {SLICE_INIT("$5$"), sha_problem, -1},
    {SLICE_INIT("$6$"), sha_problem, -1},
    {SLICE_INIT("$y$"), yescrypt_problem, -1},
    {SLICE_INIT("$argon2id$"), argon_problem, Argon2_id},
    {SLICE_INIT("$argon2i$"), argon_problem, Argon2_i},
    {SLICE_INIT("$argon2d$"), argon_problem, Argon2_d},
};

static int kind_of(struct slice hash)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (slice_has_prefix(hash, kinds[i].prefix))
            return (int)i;
    return -1;
}

static const char *hash_problem(struct slice hash)
{
    int kind = kind_of(hash);
    if (kind < 0)
        return "has a hash of a kind that is not taken: make it with `htpasswd -B`";
    for (size_t i = 0; i < hash.size; i++)
        if (hash.data[i] <= ' ' || hash.data[i] == 127)
            return "has bytes in its hash that no hash has";
    return hash.size > HTPASSWD_HASH_MAX ? "has a hash that is too long"
                                         : kinds[kind].problem(hash);
}

/* --- reading */

static enum status add_line(struct htpasswd *users, struct slice line, const char **ret_why)
{
    size_t colon = slice_find(line, ':');
    struct slice name = slice_head(line, colon), hash = slice_from(line, colon + 1);
    *ret_why = colon == line.size                            ? "is no \"name:hash\""
               : !name.size || name.size > HTPASSWD_NAME_MAX ? "has no name, or too long a one"
                                                             : hash_problem(hash);
    if (*ret_why)
        return INVALID;
    struct user *user = arena_new(&users->arena, struct user);
    if (!user)
        return NO_MEMORY;
    user->hash = hash;
    if (!users->any.size)
        users->any = hash;
    enum status e = table_put(&users->users, name, user);
    *ret_why = e == EXISTS ? "names a user that an earlier line names" : "is one too many";
    return e == EXISTS || e == FULL ? INVALID : e;
}

static enum status add_lines(struct htpasswd *users, struct slice text, struct text *trouble)
{
    struct slice line;
    for (size_t number = 1; slice_split(&text, '\n', &line); number++) {
        const char *why = "";
        if (slice_has_suffix(line, SLICE("\r")))
            line.size--;
        if (!line.size || *line.data == '#')
            continue;
        enum status e = add_line(users, line, &why);
        if (e == INVALID)
            text_format(trouble, "line %zu %s", number, why);
        if (e)
            return e;
    }
    return OK;
}

enum status htpasswd_read(struct slice text, struct text *trouble, struct htpasswd **ret_users)
{
    struct htpasswd *users = calloc(1, sizeof *users);
    if (!users)
        return NO_MEMORY;
    arena_init(&users->arena, 0, 0);
    table_init(&users->users, USERS_MAX);
    struct slice copy = arena_copy(&users->arena, text);
    enum status e = copy.data ? add_lines(users, copy, trouble) : NO_MEMORY;
    if (e)
        htpasswd_free(users);
    else
        *ret_users = users;
    return e;
}

void htpasswd_free(void *users)
{
    struct htpasswd *own = users;
    if (!own)
        return;
    table_release(&own->users);
    arena_release(&own->arena);
    free(own);
}

static enum status make(struct slice text, struct text *trouble, void **ret_thing)
{
    struct htpasswd *users;
    enum status e = htpasswd_read(text, trouble, &users);
    if (!e)
        *ret_thing = users;
    return e;
}

static size_t count(const void *thing)
{
    return ((const struct htpasswd *)thing)->users.count;
}

const struct watched_kind htpasswd_kind = {.name = "users",
    .size_max = HTPASSWD_SIZE_MAX,
    .make = make,
    .free = htpasswd_free,
    .count = count};

/* --- asking */

struct slice htpasswd_find(const struct htpasswd *users, struct slice name)
{
    const struct user *user = table_get(&users->users, name);
    return user ? user->hash : SLICE_NONE;
}

struct slice htpasswd_any(const struct htpasswd *users)
{
    return users->any.size ? users->any : SLICE(NOBODYS);
}

static bool fits_crypt(const char *hash, const char *password)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    const char *made = data ? crypt_r(password, hash, data) : NULL;
    bool fits =
        made && strlen(made) == strlen(hash) && CRYPTO_memcmp(made, hash, strlen(hash)) == 0;
    if (data)
        OPENSSL_cleanse(data, sizeof *data);
    free(data);
    return fits;
}

/* crypt(3) takes texts that end with a NUL, so a password that has one inside is none. */
bool htpasswd_fits(struct slice hash, struct slice password)
{
    char hash_text[HTPASSWD_HASH_MAX + 1], password_text[PASSWORD_MAX + 1];
    int kind = kind_of(hash);
    if (kind < 0 || hash.size > HTPASSWD_HASH_MAX || password.size > PASSWORD_MAX ||
        slice_find(password, '\0') < password.size)
        return false;
    memcpy(hash_text, hash.data, hash.size);
    hash_text[hash.size] = '\0';
    if (password.size)
        memcpy(password_text, password.data, password.size);
    password_text[password.size] = '\0';
    bool fits = kinds[kind].argon < 0 ? fits_crypt(hash_text, password_text)
                                      : argon2_verify(hash_text, password_text, password.size,
                                            (argon2_type)kinds[kind].argon) == ARGON2_OK;
    OPENSSL_cleanse(password_text, sizeof password_text);
    return fits;
}
