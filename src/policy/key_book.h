/* API keys at rest: a file with a consumer's key on each line, as a JSON object.
 *
 *     {"name": "acme", "sha256": "8d96…", "plan": "pro", "exp": 1798761600}
 *     # blank lines and comments are fine
 *
 * Of a key only its SHA-256 is there. Keys are drawn at random with 256 bits (`weir key`), so there
 * is nothing to guess, and nothing that a slow hash would protect. All that the object says but the
 * digest becomes claims, and the name becomes `sub`. A consumer may have several keys.
 *
 * Does not change once it is read; counted. Looking a key up takes the same path for every digest,
 * and what one could learn from its time is about digests, which nobody can choose. */
#pragma once

#include "base/json.h"
#include "service/watched_file.h"

#define KEY_BOOK_SIZE_MAX ((size_t)1 << 30) /* bytes of a file */
#define KEY_BOOK_KEYS_MAX ((size_t)1 << 22)
#define KEY_LINE_MAX      ((size_t)16 << 10) /* bytes of a line */
#define KEY_MEMBERS_MAX   16                 /* of its object */
#define KEY_NAME_MAX      200
#define KEY_DIGEST_SIZE   32

struct key_book;

struct consumer {
    unsigned char digest[KEY_DIGEST_SIZE];
    const struct json_value *claims;
    int64_t until; /* seconds since 1970; INT64_MAX: for ever */
};

/* INVALID, and the line with what is wrong with it, which never shows a digest; NO_MEMORY. */
enum status key_book_read(struct slice text, struct text *trouble, struct key_book **ret_book);

/* Any thread, as the next two. */
void key_book_ref(struct key_book *book);
void key_book_unref(void *book); /* NULL is fine */

/* NULL: nobody has it. */
const struct consumer *key_book_find(
    const struct key_book *book, const unsigned char digest[KEY_DIGEST_SIZE]);

size_t key_book_count(const struct key_book *book);

/* For watched files. */
extern const struct watched_kind key_book_kind;
