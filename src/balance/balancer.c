#include "balance/balancer.h"

#include "balance/mix.h"

#include <math.h>

#define BALANCER(name, word) extern const struct balancer_type name##_balancer;
#include "balance/balancers.def"
#undef BALANCER

const struct balancer_type *const balancer_types[] = {
#define BALANCER(name, word) &name##_balancer,
#include "balance/balancers.def"
#undef BALANCER
    NULL};

const char *const balancer_names[] = {
#define BALANCER(name, word) word,
#include "balance/balancers.def"
#undef BALANCER
    NULL};

const struct balancer_type *balancer_type_of(struct slice name)
{
    for (size_t i = 0; balancer_types[i]; i++)
        if (slice_equal(name, slice_of_text(balancer_types[i]->name)))
            return balancer_types[i];
    return NULL;
}

#define SLOW_START_LEAST 0.1

static bool was_tried(const struct pick *pick, uint32_t place)
{
    for (uint32_t i = 0; i < pick->tried_count; i++)
        if (pick->tried[i] == place)
            return true;
    return false;
}

double candidate_share(
    const struct candidate *candidate, const struct balance_settings *settings, instant now)
{
    int64_t risen = atomic_load_explicit(&candidate->load->risen, memory_order_relaxed);
    if (!risen || !settings->slow_start || now - risen >= settings->slow_start)
        return 1;
    double part = now > risen ? (double)(now - risen) / (double)settings->slow_start : 0;
    double share = settings->aggression == 1 ? part : pow(part, 1 / settings->aggression);
    return share > SLOW_START_LEAST ? share : SLOW_START_LEAST;
}

/* A newcomer lets the rest of its share go by. By a hash, the same keys come first each time, so
 * that each key moves once. */
static bool is_its_turn(const struct pick *pick, const struct candidate *candidate)
{
    double share = candidate_share(candidate, pick->group->settings, pick->now);
    if (share >= 1)
        return true;
    uint64_t draw = pick->hash ? mix(pick->hash ^ candidate->id) : random_next(pick->random);
    return mix_share(draw) < share;
}

bool candidate_is_admitted(const struct pick *pick, const struct candidate *candidate)
{
    if (was_tried(pick, candidate->place) || candidate_is_full(candidate))
        return false;
    if (pick->is_easy)
        return true;
    if (pick->bound > 0 &&
        candidate_in_flight(candidate) + 1 > ceil(pick->bound * candidate->weight))
        return false;
    return is_its_turn(pick, candidate);
}
