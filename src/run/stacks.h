/* The pool of stacks, each with its struct fiber at the top. For the run floor only.
 *
 * Stacks are carved from slabs of address space. Free ones are reused last in, first out, so that a
 * busy loop works in the same warm memory. Those that were not needed for a while give their memory
 * back to the kernel (stacks_trim).
 *
 * Below each stack lies a guard. Where the kernel has MADV_GUARD_INSTALL (Linux 6.13) guards cost
 * no mapping of their own, so that the number of fibers is bound by memory only; else mprotect
 * makes them, two mappings each, and the kernel's vm.max_map_count is the bound. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "run/fiber_core.h"

/* Free ones that are always kept: so few that giving them back is not worth the faults. */
#define STACKS_FREE_LEAST 32

struct stacks {
    struct fiber *free;       /* warm ones, most recently used first */
    size_t free_count;        /* of those */
    size_t free_least;        /* fewest since the last trim */
    size_t free_max;          /* of those, a bound */
    size_t count;             /* in use or free and warm */
    size_t stack_size;        /* bytes, whole pages */
    size_t slot_size;         /* with the guard */
    struct slab *slabs;       /* owned, newest first */
    struct slab *slabs_spare; /* first of those that still have cold slots */
    bool guards_by_mprotect;  /* the kernel lacks the better way, or refuses it */
};

void stacks_init(struct stacks *stacks, size_t stack_size, size_t free_max);

/* None may be in use. */
void stacks_release(struct stacks *stacks);

/* A fiber whose context, timer and links are the caller's to set; NULL when there is no memory. */
struct fiber *stacks_take(struct stacks *stacks);

/* Back to the pool. The caller may still be running on it, until its next switch. */
void stacks_give(struct stacks *stacks, struct fiber *fiber);

/* Gives the memory of half of those back that were free all the time since the last call, and of
 * what is over free_max. On the loop's own stack. */
void stacks_trim(struct stacks *stacks);

/* The lowest byte of the fiber's stack. */
void *stack_bottom(const struct stacks *stacks, const struct fiber *fiber);

/* The fiber into whose guard the address falls, or NULL. Async-signal-safe. */
struct fiber *stacks_find_overflow(const struct stacks *stacks, const void *address);
