/* Arenas: memory that lives exactly as long as something else (the process, a snapshot, an
 * exchange).
 *
 * Allocation bumps a pointer; nothing is freed by itself; `arena_release` frees all at once, after
 * running what was deferred, last first. One thread at a time. Under AddressSanitizer unused space
 * is poisoned.
 *
 * An arena has a limit, so that one request cannot take all memory: past it, and when the system
 * has none, allocation returns NULL and the caller answers NO_MEMORY. */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "base/slice.h"
#include "base/status.h"

struct arena_block;
struct arena_deferred;

struct arena {
    char *next, *end;                /* free space in the newest block */
    struct arena_block *blocks;      /* owned, newest first */
    struct arena_deferred *deferred; /* in the arena itself, newest first */
    size_t block_size;               /* of a usual block, bytes */
    size_t used, limit;              /* bytes taken from the system, and how many may be */
};

/* `block_size` is how much is taken from the system at a time, at least 256 bytes; 0 means 4 KiB.
 * `limit` 0 means none. Takes no memory yet. */
void arena_init(struct arena *arena, size_t block_size, size_t limit);

/* Lends the arena a first block that the caller owns and keeps until after arena_release, which
 * forgets it. It does not count towards the limit. Too small a one is not used. */
void arena_lend(struct arena *arena, void *memory, size_t size);

/* Runs what was deferred, last first (it may still allocate and defer), then frees everything. The
 * arena can be used again, with the same block size and limit. */
void arena_release(struct arena *arena);

/* `size` bytes, not cleared, aligned for anything; NULL when there are none. */
void *arena_alloc(struct arena *arena, size_t size);

/* The same, cleared. */
void *arena_zalloc(struct arena *arena, size_t size);

/* Room for `count` cleared items; checks the multiplication. */
void *arena_array(struct arena *arena, size_t count, size_t item_size);

/* Bytes without alignment, for text. */
char *arena_bytes(struct arena *arena, size_t size);

/* A copy that lives as long as the arena. On failure the slice's data is NULL (also for an empty
 * one it is not). */
struct slice arena_copy(struct arena *arena, struct slice s);

/* A copy with a NUL behind it; NULL on failure. */
char *arena_text(struct arena *arena, struct slice s);

/* printf into the arena; data is NULL on failure. A NUL stands behind the slice's end. */
struct slice arena_format(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct slice arena_format_list(struct arena *arena, const char *format, va_list args);

/* Several slices as one. */
struct slice arena_join(struct arena *arena, const struct slice *parts, size_t count);

/* Calls `run(argument)` when the arena is released; false when there is no memory for the note
 * (nothing was registered then: the caller still owns the resource). */
bool arena_defer(struct arena *arena, void (*run)(void *argument), void *argument);

/* The same for what is the arena's from now on: without memory it is released at once. NO_MEMORY.
 */
enum status arena_own(struct arena *arena, void (*release)(void *thing), void *thing);

#define arena_new(arena, type) ((type *)arena_zalloc((arena), sizeof(type)))
