/* micro_simulation: what each balancer makes of endpoints that are not all alike. Virtual time, the
 * real src/balance: bench/balance turns what this prints into docs/balancing.md.
 *
 * Ten endpoints work on four requests each at a time, others wait there. A request takes 10 ms on
 * average, exponentially distributed, and one in fifty takes ten times as long. Requests come at
 * random to four workers, as many as keep the endpoints busy for 70 % of the time; each belongs to
 * one of 10,000 users, some of whom ask much more than others. A failure to connect is tried
 * elsewhere, up to three times; five in a row eject an endpoint.
 *
 * One line for each scenario and balancer: p50 and p99 in milliseconds, requests that failed, and
 * the load of the busiest endpoint, of what its share would be. The same numbers every time. */
#include "balance/latency.h"
#include "balance/mix.h"
#include "balance/slate.h"

#include "base/must.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ENDPOINTS 10
#define SERVERS   4
#define WORKERS   4
#define REQUESTS  100000
#define USERS     10000
#define MEAN      (10.0 * MILLISECOND)
#define BUSY      0.7
#define SLOWER    5.0
#define EJECT     (30 * SECOND)

enum scenario { EVEN, WEIGHTED, SLOW, DEAD, NEWCOMER, SCENARIOS };

static const char *const scenario_names[] = {"even", "weighted", "slow", "dead", "new"};

struct endpoint {
    instant free_at[SERVERS];
    uint32_t failures;
    instant ejected_until;
    uint64_t requests;
};

struct ending {
    instant at;
    int64_t took;
    uint32_t place;
};

struct simulation {
    enum scenario scenario;
    instant now, changes_at; /* when the endpoint of the scenario goes slow, dies, or comes */
    struct slate_options options;
    _Atomic uint32_t change;
    struct load *loads; /* owned */
    struct slate_member members[ENDPOINTS];
    struct endpoint endpoints[ENDPOINTS];
    struct slate *slate;
    void *states[WORKERS]; /* owned */
    struct random random;
    struct ending *endings; /* owned: a heap, the soonest first */
    uint32_t ending_count;
    int64_t *latencies; /* owned */
    uint32_t answered, failed;
};

static double draw(struct simulation *s)
{
    return ((double)(random_next(&s->random) >> 11) + 0.5) * 0x1p-53;
}

/* --- what ends, in order */

static void push(struct simulation *s, struct ending ending)
{
    uint32_t at = s->ending_count++;
    for (; at > 0 && ending.at < s->endings[(at - 1) / 2].at; at = (at - 1) / 2)
        s->endings[at] = s->endings[(at - 1) / 2];
    s->endings[at] = ending;
}

static struct ending pop(struct simulation *s)
{
    struct ending first = s->endings[0], last = s->endings[--s->ending_count];
    uint32_t at = 0;
    for (uint32_t child = 1; child < s->ending_count; child = 2 * at + 1) {
        if (child + 1 < s->ending_count && s->endings[child + 1].at < s->endings[child].at)
            child++;
        if (last.at <= s->endings[child].at)
            break;
        s->endings[at] = s->endings[child];
        at = child;
    }
    s->endings[at] = last;
    return first;
}

static void end_until(struct simulation *s, instant now)
{
    while (s->ending_count && s->endings[0].at <= now) {
        struct ending ending = pop(s);
        struct load *load = &s->loads[ending.place];
        latency_answered(load, ending.took, ending.at);
        load->in_flight--;
    }
    for (uint32_t i = 0; i < ENDPOINTS; i++)
        if (s->endpoints[i].ejected_until && s->endpoints[i].ejected_until <= now) {
            s->endpoints[i].ejected_until = 0;
            s->loads[i].is_down = 0;
            s->change++;
        }
}

/* --- one request */

static double weight_of(const struct simulation *s, uint32_t place)
{
    return s->members[place].candidate.weight;
}

static double pace_of(const struct simulation *s, uint32_t place)
{
    bool has_changed = s->now >= s->changes_at;
    if (place != 0 || !has_changed)
        return s->scenario == WEIGHTED ? 1 / weight_of(s, place) : 1;
    if (s->scenario == SLOW)
        return SLOWER;
    return s->scenario == NEWCOMER && s->now < s->changes_at + 5 * SECOND ? 3 : 1; /* still cold */
}

static void serve(struct simulation *s, uint32_t place, instant began)
{
    struct endpoint *endpoint = &s->endpoints[place];
    double took = -log(draw(s)) * MEAN / 1.18 * pace_of(s, place); /* 1.18: the slow ones' part */
    uint32_t soonest = 0;
    if (draw(s) < 0.02)
        took *= 10;
    for (uint32_t i = 1; i < SERVERS; i++)
        if (endpoint->free_at[i] < endpoint->free_at[soonest])
            soonest = i;
    instant start = endpoint->free_at[soonest] > s->now ? endpoint->free_at[soonest] : s->now;
    endpoint->free_at[soonest] = start + (int64_t)took;
    endpoint->requests++;
    s->loads[place].in_flight++;
    s->latencies[s->answered++] = endpoint->free_at[soonest] - began;
    push(
        s, (struct ending){endpoint->free_at[soonest], endpoint->free_at[soonest] - s->now, place});
}

/* Whoever died refuses at once. */
static bool is_dead(const struct simulation *s, uint32_t place)
{
    return s->scenario == DEAD && place == 0 && s->now >= s->changes_at;
}

static void refuse(struct simulation *s, uint32_t place)
{
    struct endpoint *endpoint = &s->endpoints[place];
    latency_failed(&s->loads[place], MILLISECOND, s->now);
    if (++endpoint->failures % 5)
        return;
    endpoint->ejected_until = s->now + EJECT;
    s->loads[place].is_down = DOWN_EJECTED;
    s->change++;
}

/* Few users ask for most: the n-th of them in proportion to 1 / n ^ 0.6. */
static uint64_t draw_user(struct simulation *s)
{
    return mix((uint64_t)(pow(draw(s), 1 / 0.4) * USERS));
}

static void request(struct simulation *s)
{
    uint32_t tried[3], tries = 0;
    uint64_t user = draw_user(s);
    unsigned worker = (unsigned)random_below(&s->random, WORKERS);
    for (; tries < 3; tries++) {
        struct pick pick = {.random = &s->random,
            .hash = s->options.type->needs_hash ? user : 0,
            .now = s->now,
            .tried = tried,
            .tried_count = tries};
        uint32_t place = slate_pick(s->slate, s->states[worker], &pick);
        if (place == PICK_NONE)
            break;
        if (!is_dead(s, place)) {
            serve(s, place, s->now);
            return;
        }
        tried[tries] = place;
        refuse(s, place);
    }
    s->failed++;
}

/* --- the whole */

static void begin_workers(struct simulation *s, uint32_t first)
{
    slate_free(s->slate);
    must(slate_new(&s->options, s->members + first, ENDPOINTS - first, &s->slate) == OK);
    size_t size = (s->slate->state_size + 63) & ~(size_t)63;
    for (unsigned i = 0; i < WORKERS; i++) {
        free(s->states[i]);
        s->states[i] = aligned_alloc(64, size);
        must(s->states[i]);
        memset(s->states[i], 0, size);
        slate_begin(s->slate, s->states[i], mix(i));
    }
}

static void begin(
    struct simulation *s, enum scenario scenario, const struct balancer_type *type, double bound)
{
    *s = (struct simulation){.scenario = scenario, .random = {{1, 2, 3, 4}}, .now = SECOND};
    s->options = (struct slate_options){.type = type,
        .settings = {.choices = 2,
            .bias = 1,
            .points = 1024,
            .slots = 65537,
            .aggression = 1,
            .bound = bound,
            .slow_start = scenario == NEWCOMER ? 10 * SECOND : 0},
        .change = &s->change};
    s->loads = aligned_alloc(64, ENDPOINTS * sizeof *s->loads);
    s->endings = calloc(REQUESTS, sizeof *s->endings);
    s->latencies = calloc(REQUESTS, sizeof *s->latencies);
    must(s->loads && s->endings && s->latencies);
    memset(s->loads, 0, ENDPOINTS * sizeof *s->loads);
    for (uint32_t i = 0; i < ENDPOINTS; i++)
        s->members[i].candidate = (struct candidate){.load = &s->loads[i],
            .id = mix(100 + i),
            .weight = scenario == WEIGHTED && i % 2 ? 3 : 1,
            .place = i};
    begin_workers(s, scenario == NEWCOMER);
}

static void release(struct simulation *s)
{
    slate_free(s->slate);
    for (unsigned i = 0; i < WORKERS; i++)
        free(s->states[i]);
    free(s->loads);
    free(s->endings);
    free(s->latencies);
}

static int by_size(const void *one, const void *other)
{
    const int64_t *a = one, *b = other;
    return (*a > *b) - (*a < *b);
}

static double percentile(const struct simulation *s, double part)
{
    return (double)s->latencies[(uint32_t)(part * (s->answered - 1))] / MILLISECOND;
}

static double busiest(const struct simulation *s)
{
    double most = 0, weight = 0;
    for (uint32_t i = 0; i < ENDPOINTS; i++) {
        double its = (double)s->endpoints[i].requests / weight_of(s, i);
        most = its > most ? its : most;
        weight += weight_of(s, i);
    }
    return most * weight / s->answered;
}

/* The endpoints together can do so much; the one that changes does it after a third of the time. */
static void run(enum scenario scenario, const struct balancer_type *type, double bound)
{
    struct simulation s;
    begin(&s, scenario, type, bound);
    double capacity = 0;
    for (uint32_t i = scenario == NEWCOMER; i < ENDPOINTS; i++)
        capacity += SERVERS * weight_of(&s, i) / MEAN;
    double rate = capacity * BUSY;
    s.changes_at = s.now + (int64_t)(REQUESTS / rate / 3);
    bool has_come = scenario != NEWCOMER;
    for (uint32_t i = 0; i < REQUESTS; i++) {
        s.now += (int64_t)(-log(draw(&s)) / rate);
        end_until(&s, s.now);
        if (!has_come && s.now >= s.changes_at) {
            has_come = true;
            s.loads[0].risen = s.now;
            begin_workers(&s, 0);
        }
        request(&s);
    }
    qsort(s.latencies, s.answered, sizeof *s.latencies, by_size);
    printf("%s\t%s%s\t%.1f\t%.0f\t%u\t%.2f\n", scenario_names[scenario], type->name,
        bound > 0 ? ", bound 125%" : "", percentile(&s, 0.5), percentile(&s, 0.99), s.failed,
        busiest(&s));
    release(&s);
}

int main(void)
{
    for (int scenario = 0; scenario < SCENARIOS; scenario++)
        for (size_t i = 0; balancer_types[i]; i++) {
            run((enum scenario)scenario, balancer_types[i], 0);
            if (balancer_types[i]->needs_hash)
                run((enum scenario)scenario, balancer_types[i], 1.25);
        }
    return 0;
}
