#include "policy/limit_lease.h"

#include <stdlib.h>

#include "base/must.h"
#include "policy/limit_held.h"
#include "run/loop.h"
#include "run/timer.h"
#include "service/aside.h"

#define RENEWALS      3  /* in the time of a lease */
#define RUNNERS_MOST  16 /* fibers that renew at a time */
#define HELD_A_RUNNER 64 /* from so many on there is another */
#define RETRY         SECOND

/* Of one worker. */
struct leases {
    struct list held; /* the one that is due first comes first */
    size_t count;
    struct timer timer; /* set while something is held and nobody renews */
    unsigned runners;
    void *pinned; /* the snapshot whose leases they renew */
};

struct limit_leases {
    unsigned workers;
    struct leases of[];
};

static struct limit_held *first_of(const struct leases *leases)
{
    return list_is_empty(&leases->held) ? NULL
                                        : list_entry(leases->held.next, struct limit_held, node);
}

static void set_timer(struct leases *leases)
{
    const struct limit_held *first = first_of(leases);
    if (!leases->runners)
        timer_set(&leases->timer, first ? first->due : NEVER);
}

/* Leases of the same length are added behind all others. */
static void add(struct leases *leases, struct limit_held *held)
{
    struct list *before = leases->held.previous;
    held->due = clock_after(loop_now(), held->rule->per / RENEWALS);
    while (before != &leases->held && list_entry(before, struct limit_held, node)->due > held->due)
        before = before->previous;
    list_insert_after(before, &held->node);
}

static struct leases *leases_of(const struct limit_held *held)
{
    return &held->limit->state->leases->of[held->worker];
}

/* --- renewing */

/* What was held when it was begun with may be over when the store has answered. */
static enum status renew(struct leases *leases, struct limit_held *held)
{
    const struct limit *limit = held->limit;
    unsigned worker = held->worker;
    list_remove(&held->node);
    add(leases, held);
    enum status e = limit_held_renew(held);
    if (e && e != CANCELLED)
        metric_add(limit->shards[worker], limit->not_renewed, 1);
    return e;
}

/* As long as there is something of the same snapshot: that is what this fiber keeps. */
static void run(void *argument)
{
    struct leases *leases = argument;
    enum status e = OK;
    for (struct limit_held *held; e != CANCELLED && (held = first_of(leases));) {
        if (held->pinned != leases->pinned || held->due > loop_now())
            break;
        e = renew(leases, held);
    }
    leases->runners--;
    if (e != CANCELLED)
        set_timer(leases);
}

static void fire(struct timer *timer)
{
    struct leases *leases = list_entry(timer, struct leases, timer);
    const struct limit_held *first = first_of(leases);
    size_t wanted = 1 + leases->count / HELD_A_RUNNER;
    if (!first)
        return;
    leases->pinned = first->pinned;
    while (leases->runners < wanted && leases->runners < RUNNERS_MOST &&
           !aside_start(first->limit->plane, first->pinned, first->worker, run, leases))
        leases->runners++;
    if (!leases->runners)
        timer_set(timer, loop_now() + RETRY);
}

/* --- its life */

enum status limit_leases_new(unsigned workers, struct limit_leases **ret_leases)
{
    struct limit_leases *all = calloc(1, sizeof *all + workers * sizeof *all->of);
    if (!all)
        return NO_MEMORY;
    all->workers = workers;
    for (unsigned i = 0; i < workers; i++) {
        list_init(&all->of[i].held);
        timer_init(&all->of[i].timer, fire);
    }
    *ret_leases = all;
    return OK;
}

void limit_leases_free(struct limit_leases *leases)
{
    for (unsigned i = 0; leases && i < leases->workers; i++)
        must(list_is_empty(&leases->of[i].held));
    free(leases);
}

void limit_lease_begin(struct limit_held *held)
{
    struct leases *leases = leases_of(held);
    add(leases, held);
    leases->count++;
    if (first_of(leases) == held)
        set_timer(leases);
}

void limit_lease_end(struct limit_held *held)
{
    struct leases *leases = leases_of(held);
    list_remove(&held->node);
    if (--leases->count == 0)
        timer_cancel(&leases->timer);
}
