#include "policy/limit_line.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "base/table.h"
#include "run/loop.h"

#define LINES_MOST ((size_t)1 << 20)

/* There while somebody stands in it. */
struct limit_line {
    struct list waiters;
    int64_t count;
    size_t key_size;
    char key[];
};

struct limit_lines {
    pthread_mutex_t lock; /* of all but `count` */
    struct table lines;   /* by key */
    _Atomic int64_t count;
};

enum status limit_lines_new(struct limit_lines **ret_lines)
{
    struct limit_lines *lines = calloc(1, sizeof *lines);
    if (!lines)
        return NO_MEMORY;
    pthread_mutex_init(&lines->lock, NULL);
    table_init(&lines->lines, LINES_MOST);
    *ret_lines = lines;
    return OK;
}

void limit_lines_free(struct limit_lines *lines)
{
    if (!lines)
        return;
    must(lines->lines.count == 0);
    table_release(&lines->lines);
    pthread_mutex_destroy(&lines->lock);
    free(lines);
}

int64_t limit_lines_count(const struct limit_lines *lines)
{
    return atomic_load_explicit(&lines->count, memory_order_relaxed);
}

bool limit_lines_has(struct limit_lines *lines, struct slice key)
{
    if (!limit_lines_count(lines))
        return false;
    pthread_mutex_lock(&lines->lock);
    bool has = table_get(&lines->lines, key) != NULL;
    pthread_mutex_unlock(&lines->lock);
    return has;
}

static struct limit_line *find_or_make(struct limit_lines *lines, struct slice key)
{
    struct limit_line *line = table_get(&lines->lines, key);
    if (line)
        return line;
    line = malloc(sizeof *line + key.size);
    if (!line)
        return NULL;
    *line = (struct limit_line){.key_size = key.size};
    list_init(&line->waiters);
    if (key.size)
        memcpy(line->key, key.data, key.size);
    if (table_put(&lines->lines, slice_of(line->key, key.size), line)) {
        free(line);
        return NULL;
    }
    return line;
}

enum status limit_lines_join(
    struct limit_lines *lines, struct slice key, int64_t size, struct limit_waiter *waiter)
{
    if (atomic_fetch_add_explicit(&lines->count, 1, memory_order_relaxed) >= size) {
        atomic_fetch_sub_explicit(&lines->count, 1, memory_order_relaxed);
        return FULL;
    }
    *waiter = (struct limit_waiter){.fiber = fiber_current(), .loop = loop_current()};
    pthread_mutex_lock(&lines->lock);
    struct limit_line *line = find_or_make(lines, key);
    if (line) {
        waiter->line = line;
        waiter->ahead = line->count++;
        list_push_back(&line->waiters, &waiter->node);
    }
    pthread_mutex_unlock(&lines->lock);
    if (line)
        return OK;
    atomic_fetch_sub_explicit(&lines->count, 1, memory_order_relaxed);
    return NO_MEMORY;
}

bool limit_lines_is_first(struct limit_lines *lines, const struct limit_waiter *waiter)
{
    pthread_mutex_lock(&lines->lock);
    bool is_first = waiter->line->waiters.next == &waiter->node;
    pthread_mutex_unlock(&lines->lock);
    return is_first;
}

/* Under the lock: he cannot leave meanwhile. */
static void wake_first(struct limit_line *line)
{
    struct limit_waiter *first = list_entry(line->waiters.next, struct limit_waiter, node);
    if (first->loop == loop_current())
        fiber_wake(first->fiber);
}

void limit_lines_leave(struct limit_lines *lines, struct limit_waiter *waiter)
{
    struct limit_line *line = waiter->line;
    pthread_mutex_lock(&lines->lock);
    list_remove(&waiter->node);
    if (--line->count > 0) {
        wake_first(line);
    } else {
        (void)table_remove(&lines->lines, slice_of(line->key, line->key_size));
        free(line);
    }
    pthread_mutex_unlock(&lines->lock);
    waiter->line = NULL;
    atomic_fetch_sub_explicit(&lines->count, 1, memory_order_relaxed);
}

void limit_lines_stir(struct limit_lines *lines, struct slice key)
{
    if (!limit_lines_count(lines))
        return;
    pthread_mutex_lock(&lines->lock);
    struct limit_line *line = table_get(&lines->lines, key);
    if (line)
        wake_first(line);
    pthread_mutex_unlock(&lines->lock);
}
