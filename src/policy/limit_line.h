/* Lines of requests that wait for room in a limit: one for each key, first come, first served, over
 * all workers. Only the first in a line asks the limit again; who leaves the line wakes the next.
 *
 *     e = limit_lines_join(lines, key, size, &waiter);
 *     while (!limit_lines_is_first(lines, &waiter) || !there_is_room())
 *         fiber_wait(...);
 *     limit_lines_leave(lines, &waiter);
 *
 * A fiber can be woken on its own worker only: the next in line that belongs to another worker
 * looks for itself every LIMIT_LINE_LOOK. The lines are behind a lock, which nobody takes but who
 * waits, and who comes while others do. */
#pragma once

#include <stdatomic.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/slice.h"
#include "base/status.h"

#define LIMIT_LINE_LOOK (5 * MILLISECOND)

struct fiber;
struct loop;
struct limit_line;
struct limit_lines;

/* One who waits, in the memory of his fiber. */
struct limit_waiter {
    struct list node;
    struct limit_line *line; /* owned by the lines */
    struct fiber *fiber;
    struct loop *loop;
    int64_t ahead; /* how many were there when he came */
};

enum status limit_lines_new(struct limit_lines **ret_lines);
void limit_lines_free(struct limit_lines *lines); /* nobody waits; NULL is fine */

/* Whether somebody waits who has that key. Free of charge while nobody waits at all. */
bool limit_lines_has(struct limit_lines *lines, struct slice key);

/* The running fiber stands behind the others of that key. FULL when `size` wait, whatever their
 * keys; NO_MEMORY. */
enum status limit_lines_join(
    struct limit_lines *lines, struct slice key, int64_t size, struct limit_waiter *waiter);

bool limit_lines_is_first(struct limit_lines *lines, const struct limit_waiter *waiter);

/* On the fiber that has joined. */
void limit_lines_leave(struct limit_lines *lines, struct limit_waiter *waiter);

/* There may be room for that key: its first is woken, if he is of this worker. */
void limit_lines_stir(struct limit_lines *lines, struct slice key);

/* How many wait. */
int64_t limit_lines_count(const struct limit_lines *lines);
