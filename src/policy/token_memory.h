/* Tokens that were verified, remembered until they expire, so that the next request with the same
 * one costs a look-up. Each worker has a memory of its own; only good tokens get into it, so nobody
 * can fill it with others. When it is full, what was used longest ago goes.
 *
 * Who uses a token while it is forgotten keeps it: it is counted. */
#pragma once

#include "base/json.h"
#include "base/list.h"
#include "base/table.h"

#define TOKEN_MEMORY_SIZE  ((size_t)4 << 20)  /* bytes of a worker's tokens, claims included */
#define TOKEN_MEMORY_LARGE ((size_t)64 << 10) /* what takes more is not remembered */

struct token_memory {
    struct table table; /* by the tokens' ends, where the signatures are */
    struct list recent; /* used last first */
    size_t size;        /* bytes */
    uint32_t epoch;
};

struct known_token {
    struct list node;   /* in the memory's list; alone when it is forgotten */
    struct arena arena; /* owned: all of it, and what the caller puts there before it is added */
    struct slice text;
    const struct json_value *claims;
    void *more;    /* of who has put it there, in the arena; or NULL */
    int64_t until; /* the second since 1970 at which it ends */
    unsigned users;
};

/* One for each worker, as long as the arena. NO_MEMORY. */
enum status token_memories_new(
    struct arena *arena, unsigned workers, struct token_memory **ret_memories);

void token_memory_init(struct token_memory *memory);
void token_memory_release(struct token_memory *memory);

/* Forgets all of them, if what was good in another epoch may be good no more: when it is not the
 * one of the last call. */
void token_memory_turn(struct token_memory *memory, uint32_t epoch);

/* The token that is `text`, counted for the caller; NULL when it is not known, or has ended by
 * `now` (in seconds since 1970). */
struct known_token *token_memory_find(struct token_memory *memory, struct slice text, int64_t now);

/* A token with a copy of its text, counted for the caller, not yet in a memory. */
enum status known_token_new(struct slice text, struct known_token **ret_token);

/* Remembers it, if that can be; it stays the caller's, too. */
void token_memory_add(struct token_memory *memory, struct known_token *token);

/* Gives the caller's count to an arena, so that the claims stay until that is released. NO_MEMORY:
 * it is counted once less already. */
enum status known_token_lend(
    struct known_token *token, struct arena *arena, const struct json_value **ret_claims);

/* Counts once less; as arena_defer wants it. NULL is fine. */
void known_token_unref(void *token);
