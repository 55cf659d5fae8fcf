#include "run/stacks.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/must.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define STACK_USUAL ((size_t)64 * 1024)
#define STACK_LEAST ((size_t)16 * 1024)
#define GUARD_SIZE \
    ((size_t)16 * 1024) /* more than one page, for frames that do not touch each page in turn */
#define SLAB_SLOTS 256
#define LINE       64

struct slab {
    struct slab *next;
    struct slab *next_spare;
    char *memory; /* SLAB_SLOTS slots, each: guard, stack with its fiber at the top */
    unsigned cold_count;
    bool is_spare;             /* in slabs_spare */
    uint16_t cold[SLAB_SLOTS]; /* slots without memory, last given first */
};

static size_t round_up(size_t size, size_t to)
{
    return (size + to - 1) / to * to;
}

void stacks_init(struct stacks *stacks, size_t stack_size, size_t free_max)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = stack_size ? stack_size : STACK_USUAL;
    if (size < STACK_LEAST)
        size = STACK_LEAST;
    size = round_up(size * CHECKED_STACK_FACTOR, page);
    *stacks = (struct stacks){
        .stack_size = size, .slot_size = size + round_up(GUARD_SIZE, page), .free_max = free_max};
}

static size_t guard_size(const struct stacks *stacks)
{
    return stacks->slot_size - stacks->stack_size;
}

static char *slot_of(const struct stacks *stacks, const struct slab *slab, size_t i)
{
    return slab->memory + i * stacks->slot_size;
}

static struct fiber *fiber_of(const struct stacks *stacks, const struct slab *slab, size_t i)
{
    size_t room = round_up(sizeof(struct fiber), LINE);
    return (struct fiber *)(slot_of(stacks, slab, i) + stacks->slot_size - room);
}

void *stack_bottom(const struct stacks *stacks, const struct fiber *fiber)
{
    return (char *)fiber + round_up(sizeof *fiber, LINE) - stacks->stack_size;
}

static bool guard(struct stacks *stacks, void *memory)
{
    size_t size = guard_size(stacks);
    if (!stacks->guards_by_mprotect) {
        if (madvise(memory, size, MADV_GUARD_INSTALL) == 0)
            return true;
        stacks->guards_by_mprotect = true;
    }
    return mprotect(memory, size, PROT_NONE) == 0;
}

static struct slab *new_slab(struct stacks *stacks)
{
    struct slab *slab = calloc(1, sizeof *slab);
    if (!slab)
        return NULL;
    size_t size = SLAB_SLOTS * stacks->slot_size;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) {
        free(slab);
        return NULL;
    }
    madvise(memory, size, MADV_NOHUGEPAGE); /* a fiber that touches a page must not get 2 MiB */
    slab->memory = memory;
    for (size_t i = 0; i < SLAB_SLOTS; i++) {
        if (!guard(stacks, slot_of(stacks, slab, i))) {
            munmap(memory, size);
            free(slab);
            return NULL;
        }
        slab->cold[i] = (uint16_t)(SLAB_SLOTS - 1 - i);
    }
    slab->cold_count = SLAB_SLOTS;
    slab->next = stacks->slabs;
    stacks->slabs = slab;
    return slab;
}

static void mark_spare(struct stacks *stacks, struct slab *slab)
{
    if (slab->is_spare)
        return;
    slab->is_spare = true;
    slab->next_spare = stacks->slabs_spare;
    stacks->slabs_spare = slab;
}

/* The kernel gives its pages when they are touched: first of all the one that holds the fiber
 * itself. */
static struct fiber *take_cold(struct stacks *stacks)
{
    struct slab *slab = stacks->slabs_spare;
    if (!slab) {
        slab = new_slab(stacks);
        if (!slab)
            return NULL;
        mark_spare(stacks, slab);
    }
    struct fiber *fiber = fiber_of(stacks, slab, slab->cold[--slab->cold_count]);
    if (slab->cold_count == 0) {
        stacks->slabs_spare = slab->next_spare;
        slab->is_spare = false;
    }
    memset(fiber, 0, sizeof *fiber);
    fiber->slab = slab;
    timer_init(&fiber->timer, NULL);
    checked_add(&fiber->checked, stack_bottom(stacks, fiber), fiber);
    stacks->count++;
    return fiber;
}

struct fiber *stacks_take(struct stacks *stacks)
{
    struct fiber *fiber = stacks->free;
    if (!fiber)
        return take_cold(stacks);
    stacks->free = fiber->next;
    if (--stacks->free_count < stacks->free_least)
        stacks->free_least = stacks->free_count;
    return fiber;
}

void stacks_give(struct stacks *stacks, struct fiber *fiber)
{
    fiber->state = FIBER_FREE;
    fiber->next = stacks->free;
    stacks->free = fiber;
    stacks->free_count++;
}

/* Memory back to the kernel; the address space and the guard stay. */
static void chill(struct stacks *stacks, struct fiber *fiber)
{
    struct slab *slab = fiber->slab;
    char *bottom = stack_bottom(stacks, fiber);
    timer_cancel(&fiber->timer);
    checked_remove(&fiber->checked);
    madvise(bottom, stacks->stack_size, MADV_DONTNEED);
    slab->cold[slab->cold_count++] =
        (uint16_t)((size_t)(bottom - slab->memory) / stacks->slot_size);
    mark_spare(stacks, slab);
    stacks->count--;
}

/* The pool is a stack, so those that were not needed lie at its far end. */
void stacks_trim(struct stacks *stacks)
{
    size_t keep = stacks->free_count - stacks->free_least / 2;
    if (keep > stacks->free_max)
        keep = stacks->free_max;
    if (keep < STACKS_FREE_LEAST)
        keep = STACKS_FREE_LEAST;
    struct fiber **end = &stacks->free;
    for (size_t i = 0; i < keep && *end; i++)
        end = &(*end)->next;
    struct fiber *surplus = *end;
    *end = NULL;
    while (surplus) {
        struct fiber *next = surplus->next;
        chill(stacks, surplus);
        stacks->free_count--;
        surplus = next;
    }
    stacks->free_least = stacks->free_count;
}

void stacks_release(struct stacks *stacks)
{
    must(stacks->free_count == stacks->count);
    for (struct fiber *fiber = stacks->free; fiber; fiber = fiber->next)
        checked_remove(&fiber->checked);
    while (stacks->slabs) {
        struct slab *slab = stacks->slabs;
        stacks->slabs = slab->next;
        munmap(slab->memory, SLAB_SLOTS * stacks->slot_size);
        free(slab);
    }
    *stacks = (struct stacks){0};
}

struct fiber *stacks_find_overflow(const struct stacks *stacks, const void *address)
{
    for (const struct slab *slab = stacks->slabs; slab; slab = slab->next) {
        uintptr_t offset = (uintptr_t)address - (uintptr_t)slab->memory;
        if (offset < SLAB_SLOTS * stacks->slot_size)
            return offset % stacks->slot_size < guard_size(stacks)
                       ? fiber_of(stacks, slab, offset / stacks->slot_size)
                       : NULL;
    }
    return NULL;
}
