#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

/* Under AddressSanitizer a poisoned gap follows each allocation, so that a write too far is seen.
 */
#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   __asan_poison_memory_region((p), (n))
#define UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#define GAP            ((size_t)16)
#else
#define POISON(p, n)   ((void)0)
#define UNPOISON(p, n) ((void)0)
#define GAP            ((size_t)0)
#endif

#define ALIGNMENT        _Alignof(max_align_t)
#define USUAL_BLOCK_SIZE 4096
#define LEAST_BLOCK_SIZE 256
#define LARGE_SHARE      4 /* what is over a fourth of a block gets a block of its own */

struct arena_block {
    struct arena_block *older;
    size_t size; /* with this header */
    bool lent;   /* the caller owns it */
    _Alignas(max_align_t) char data[];
};

struct arena_deferred {
    struct arena_deferred *older;
    void (*run)(void *argument);
    void *argument;
};

void arena_init(struct arena *arena, size_t block_size, size_t limit)
{
    if (!block_size)
        block_size = USUAL_BLOCK_SIZE;
    *arena =
        (struct arena){.block_size = block_size < LEAST_BLOCK_SIZE ? LEAST_BLOCK_SIZE : block_size,
            .limit = limit ? limit : SIZE_MAX};
}

static void open_block(struct arena *arena, struct arena_block *block)
{
    block->older = arena->blocks;
    arena->blocks = block;
    arena->next = block->data;
    arena->end = (char *)block + block->size;
    POISON(arena->next, (size_t)(arena->end - arena->next));
}

void arena_lend(struct arena *arena, void *memory, size_t size)
{
    size_t padding = -(uintptr_t)memory % ALIGNMENT;
    struct arena_block *block = (struct arena_block *)((char *)memory + padding);
    if (size < padding + sizeof *block + ALIGNMENT)
        return;
    block->size = size - padding;
    block->lent = true;
    open_block(arena, block);
}

void arena_release(struct arena *arena)
{
    while (arena->deferred) {
        struct arena_deferred *deferred = arena->deferred;
        arena->deferred = deferred->older;
        deferred->run(deferred->argument);
    }
    while (arena->blocks) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->older;
        UNPOISON(block, block->size);
        if (!block->lent)
            free(block);
    }
    arena_init(arena, arena->block_size, arena->limit);
}

static struct arena_block *new_block(struct arena *arena, size_t data_size)
{
    size_t size;
    if (__builtin_add_overflow(sizeof(struct arena_block), data_size, &size) ||
        size > arena->limit - arena->used)
        return NULL;
    struct arena_block *block = malloc(size);
    if (!block)
        return NULL;
    block->size = size;
    block->lent = false;
    arena->used += size;
    return block;
}

/* A block that serves one allocation, put behind the newest so that the newest goes on being
 * filled. */
static char *alloc_alone(struct arena *arena, size_t size)
{
    struct arena_block *block = new_block(arena, size);
    if (!block)
        return NULL;
    if (arena->blocks) {
        block->older = arena->blocks->older;
        arena->blocks->older = block;
    } else {
        open_block(arena, block);
        arena->next = arena->end;
        UNPOISON(block->data, size);
    }
    return block->data;
}

/* From the newest block, or NULL when it has no room. */
static char *take_here(struct arena *arena, size_t size, size_t alignment)
{
    size_t padding = -(uintptr_t)arena->next % alignment;
    size_t room = (size_t)(arena->end - arena->next);
    if (!arena->next || padding > room || size > room - padding)
        return NULL;
    char *p = arena->next + padding;
    room -= padding + size;
    arena->next = p + size + (GAP < room ? GAP : room);
    UNPOISON(p, size);
    return p;
}

/* Rare, and kept out of the way of what is not: it needs registers that would have to be saved. */
static __attribute__((noinline)) char *take_elsewhere(
    struct arena *arena, size_t size, size_t alignment)
{
    struct arena_block *block = NULL;
    if (size <= arena->block_size / LARGE_SHARE)
        block = new_block(arena, arena->block_size - sizeof(struct arena_block));
    if (!block) /* too large for one, or so near the limit that only its own size may still fit */
        return alloc_alone(arena, size);
    open_block(arena, block);
    return take_here(arena, size, alignment);
}

static char *take(struct arena *arena, size_t size, size_t alignment)
{
    char *p = take_here(arena, size, alignment);
    return p ? p : take_elsewhere(arena, size, alignment);
}

void *arena_alloc(struct arena *arena, size_t size)
{
    return take(arena, size ? size : 1, ALIGNMENT);
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    void *p = arena_alloc(arena, size);
    return p ? memset(p, 0, size) : NULL;
}

void *arena_array(struct arena *arena, size_t count, size_t item_size)
{
    size_t size;
    if (__builtin_mul_overflow(count, item_size, &size))
        return NULL;
    return arena_zalloc(arena, size);
}

char *arena_bytes(struct arena *arena, size_t size)
{
    return take(arena, size ? size : 1, 1);
}

struct slice arena_copy(struct arena *arena, struct slice s)
{
    char *copy = arena_bytes(arena, s.size);
    if (!copy)
        return SLICE_NONE;
    if (s.size)
        memcpy(copy, s.data, s.size);
    return slice_of(copy, s.size);
}

char *arena_text(struct arena *arena, struct slice s)
{
    if (s.size == SIZE_MAX)
        return NULL;
    char *copy = arena_bytes(arena, s.size + 1);
    if (!copy)
        return NULL;
    if (s.size)
        memcpy(copy, s.data, s.size);
    copy[s.size] = '\0';
    return copy;
}

struct slice arena_format_list(struct arena *arena, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = size < 0 ? NULL : arena_bytes(arena, (size_t)size + 1);
    if (!text)
        return SLICE_NONE;
    vsnprintf(text, (size_t)size + 1, format, args);
    return slice_of(text, (size_t)size);
}

struct slice arena_format(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct slice text = arena_format_list(arena, format, args);
    va_end(args);
    return text;
}

struct slice arena_join(struct arena *arena, const struct slice *parts, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        if (__builtin_add_overflow(size, parts[i].size, &size))
            return SLICE_NONE;
    char *joined = arena_bytes(arena, size);
    if (!joined)
        return SLICE_NONE;
    char *p = joined;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].size)
            memcpy(p, parts[i].data, parts[i].size);
        p += parts[i].size;
    }
    return slice_of(joined, size);
}

bool arena_defer(struct arena *arena, void (*run)(void *argument), void *argument)
{
    struct arena_deferred *deferred = arena_alloc(arena, sizeof *deferred);
    if (!deferred)
        return false;
    *deferred = (struct arena_deferred){arena->deferred, run, argument};
    arena->deferred = deferred;
    return true;
}

enum status arena_own(struct arena *arena, void (*release)(void *thing), void *thing)
{
    if (arena_defer(arena, release, thing))
        return OK;
    release(thing);
    return NO_MEMORY;
}
