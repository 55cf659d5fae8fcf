/* Files of users with hashes of their passwords, as htpasswd writes them: "name:hash" on a line.
 *
 * Hashes are those of crypt(3) that are slow by design, bcrypt ($2y$ …), SHA-crypt ($5$, $6$) and
 * yescrypt ($y$), and Argon2 ($argon2id$ …). The fast ones that htpasswd knows, too (MD5, SHA-1,
 * none at all), are refused, and so is what would take more than about a second or 256 MiB: the
 * threads that check passwords (hash_pool.h) are few, so one such hash would keep everybody else
 * waiting. */
#pragma once

#include "service/watched_file.h"

#define HTPASSWD_SIZE_MAX ((size_t)64 << 20) /* bytes of a file */
#define HTPASSWD_NAME_MAX 255
#define HTPASSWD_HASH_MAX 255
#define PASSWORD_MAX      512 /* bytes; more would only take time */

/* What a hash may cost. */
#define HTPASSWD_BCRYPT_COST_MAX     14
#define HTPASSWD_SHA_ROUNDS_MAX      2000000
#define HTPASSWD_YESCRYPT_MEMORY_MAX 131072  /* KiB: cost 8 of mkpasswd; usual is 5, 16 MiB */
#define HTPASSWD_ARGON_MEMORY_MAX    262144  /* KiB */
#define HTPASSWD_ARGON_WORK_MAX      1048576 /* KiB times passes */
#define HTPASSWD_ARGON_LANES_MAX     16

struct htpasswd;

/* INVALID, and the line with what is wrong with it, which never shows a hash; NO_MEMORY. */
enum status htpasswd_read(struct slice text, struct text *trouble, struct htpasswd **ret_users);
void htpasswd_free(void *users); /* NULL is fine */

/* The user's hash; null data: there is none. Borrowed. */
struct slice htpasswd_find(const struct htpasswd *users, struct slice name);

/* A hash that takes as long as the others, for users that do not exist. */
struct slice htpasswd_any(const struct htpasswd *users);

/* Is it the hash of that password? Takes as long as the hash was made to take. Any thread; needs
 * some 40 KB of memory, and what Argon2 is told to use. */
bool htpasswd_fits(struct slice hash, struct slice password);

/* For watched files. */
extern const struct watched_kind htpasswd_kind;
