/* micro_balance: what a pick costs with each balancer, with 10 and 1,000 endpoints, and building
 * what workers share of them.
 *
 * The loads lie apart, as they do in a gateway; each pick leaves its request in flight, and another
 * one ends. Prints one line for each balancer and number: nanoseconds a pick with all up and with a
 * tenth down, and the build in milliseconds. */
#include "balance/latency.h"
#include "balance/mix.h"
#include "balance/slate.h"

#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PICKS     1000000
#define IN_FLIGHT 64

struct bench {
    struct slate_options options;
    uint32_t count;
    struct load *loads;           /* owned */
    struct slate_member *members; /* owned */
    struct slate *slate;
    void *state; /* owned */
    struct random random;
};

/* CPU time of this thread, nanoseconds: the machine may be doing other things as well. */
static int64_t cpu_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

static double build(struct bench *b)
{
    double best = 1e9;
    for (int i = 0; i < 5; i++) {
        slate_free(b->slate);
        int64_t begin = cpu_now();
        must(slate_new(&b->options, b->members, b->count, &b->slate) == OK);
        double took = (double)(cpu_now() - begin) / (double)MILLISECOND;
        best = took < best ? took : best;
    }
    size_t size = (b->slate->state_size + 63) & ~(size_t)63;
    b->state = aligned_alloc(64, size);
    must(b->state);
    memset(b->state, 0, size);
    slate_begin(b->slate, b->state, 7);
    return best;
}

static double pick(struct bench *b)
{
    uint32_t busy[IN_FLIGHT] = {0};
    for (int i = 0; i < IN_FLIGHT; i++)
        b->loads[0].in_flight++;
    int64_t begin = cpu_now();
    for (uint64_t i = 0; i < PICKS; i++) {
        struct pick pick = {.random = &b->random, .hash = mix(i), .now = 100 * SECOND};
        uint32_t place = slate_pick(b->slate, b->state, &pick);
        must(place != PICK_NONE);
        uint32_t *ends = &busy[i % IN_FLIGHT];
        atomic_fetch_sub_explicit(&b->loads[*ends].in_flight, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&b->loads[place].in_flight, 1, memory_order_relaxed);
        *ends = place;
    }
    double took = (double)(cpu_now() - begin) / PICKS;
    for (int i = 0; i < IN_FLIGHT; i++)
        b->loads[busy[i]].in_flight--;
    return took;
}

static void measure(const struct balancer_type *type, uint32_t count, bool is_weighted)
{
    struct bench b = {.count = count, .random = {{1, 2, 3, 4}}};
    b.options = (struct slate_options){.type = type,
        .settings = {.choices = 2, .bias = 1, .points = 1024, .slots = 65537, .aggression = 1}};
    b.loads = aligned_alloc(64, count * sizeof *b.loads);
    b.members = calloc(count, sizeof *b.members);
    must(b.loads && b.members);
    memset(b.loads, 0, count * sizeof *b.loads);
    for (uint32_t i = 0; i < count; i++) {
        latency_answered(&b.loads[i], (int64_t)(1 + i % 50) * MILLISECOND, 99 * SECOND);
        b.members[i].candidate = (struct candidate){.load = &b.loads[i],
            .id = mix(i),
            .weight = is_weighted ? (float)(1 + i % 3) : 1,
            .place = i};
    }
    double build_ms = build(&b), all_up = pick(&b);
    for (uint32_t i = 0; i < count / 10; i++)
        b.loads[i * 10].is_down = DOWN_CHECK;
    double some_down = pick(&b);
    printf(
        "%-27s %5u endpoints%s  %6.1f ns a pick  %6.1f ns with a tenth down  %6.2f ms to build\n",
        type->name, count, is_weighted ? ", weighted" : "          ", all_up, some_down, build_ms);
    slate_free(b.slate);
    free(b.state);
    free(b.loads);
    free(b.members);
}

int main(void)
{
    for (size_t i = 0; balancer_types[i]; i++) {
        measure(balancer_types[i], 10, false);
        measure(balancer_types[i], 1000, false);
        measure(balancer_types[i], 1000, true);
    }
    return 0;
}
