#include "service/grade.h"

#include <math.h>

#define LEAST_CHANGE 0.01 /* of a weight, that is worth new tables */
#define COST_SHARE   50   /* making tables takes no more than such a part of the thread's time */

static double weight_of(const struct endpoint_set *set, uint32_t i)
{
    const struct endpoint_grade *grade = &set->endpoints[i]->grade;
    double weight = set->weights[i];
    if (weight > 0 && grade->reported > 0)
        weight = grade->reported;
    return weight * grade->said;
}

static void show(struct endpoint *endpoint, double weight)
{
    double thousandths = fmin(weight * 1000 + 0.5, UINT32_MAX);
    atomic_store_explicit(&endpoint->weight, (uint32_t)thousandths, memory_order_relaxed);
}

/* Its agent's, or the configured one, whichever is less. */
static uint32_t limit_of(const struct endpoint_set *set, uint32_t i)
{
    uint32_t said = set->endpoints[i]->grade.limit;
    return said && (!set->limit || said < set->limit) ? said : set->limit;
}

void grade_apply(struct endpoint_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        double weight = weight_of(set, i);
        set->members[i].candidate.weight = (float)weight;
        set->members[i].candidate.limit = limit_of(set, i);
        show(set->endpoints[i], weight);
    }
}

static bool have_moved(const struct endpoint_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const struct candidate *candidate = &set->members[i].candidate;
        double weight = weight_of(set, i);
        if (candidate->limit != limit_of(set, i) ||
            fabs(weight - candidate->weight) > LEAST_CHANGE * weight)
            return true;
    }
    return false;
}

instant grade_follow(struct roster *roster, instant now)
{
    if (!have_moved(roster_look(roster)))
        return NEVER;
    if (now >= roster->grades_due) {
        instant began = clock_now();
        roster_regrade(roster);
        roster->grades_due = now + COST_SHARE * (clock_now() - began);
    }
    return roster->grades_due;
}

bool grade_set_said(struct endpoint *endpoint, double share, uint32_t limit)
{
    struct endpoint_grade *grade = &endpoint->grade;
    if (grade->said == share && grade->limit == limit)
        return false;
    grade->said = share;
    grade->limit = limit;
    sweep_stir(endpoint->plane);
    return true;
}
