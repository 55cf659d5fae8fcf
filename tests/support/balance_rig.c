#include "support/balance_rig.h"

#include <math.h>
#include <stdlib.h>

void balance_rig_build(struct balance_rig *rig)
{
    slate_free(rig->slate);
    free(rig->state);
    rig->slate = NULL;
    assert_ok(slate_new(&rig->options, rig->members, rig->count, &rig->slate));
    rig->state = aligned_alloc(64, (rig->slate->state_size + 64) & ~(size_t)63);
    assert_non_null(rig->state);
    memset(rig->state, 0, (rig->slate->state_size + 64) & ~(size_t)63);
    slate_begin(rig->slate, rig->state, 12345);
}

struct balance_rig *balance_rig_new(const char *type, const uint32_t *weights, uint32_t count)
{
    struct balance_rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->count = count;
    rig->loads = aligned_alloc(64, (count + 1) * sizeof *rig->loads);
    rig->members = calloc(count + 1, sizeof *rig->members);
    assert_true(rig->loads && rig->members);
    memset(rig->loads, 0, (count + 1) * sizeof *rig->loads);
    for (uint32_t i = 0; i < count; i++)
        rig->members[i].candidate = (struct candidate){.load = &rig->loads[i],
            .id = mix(1000 + i),
            .weight = weights ? weights[i] : 1,
            .place = i};
    rig->random = (struct random){{1, 2, 3, 4}};
    rig->options = (struct slate_options){.type = balancer_type_of(slice_of_text(type)),
        .settings = {.choices = 2, .bias = 1, .points = 160, .slots = 65537, .aggression = 1},
        .change = &rig->change};
    assert_non_null(rig->options.type);
    balance_rig_build(rig);
    return rig;
}

void balance_rig_free(struct balance_rig *rig)
{
    slate_free(rig->slate);
    free(rig->state);
    free(rig->loads);
    free(rig->members);
    free(rig);
}

uint32_t balance_rig_pick_key(struct balance_rig *rig, uint64_t key)
{
    rig->pick.hash = mix(key);
    rig->pick.random = &rig->random;
    return slate_pick(rig->slate, rig->state, &rig->pick);
}

uint32_t balance_rig_pick(struct balance_rig *rig)
{
    if (rig->options.type->needs_hash)
        return balance_rig_pick_key(rig, rig->next_key++);
    rig->pick.random = &rig->random;
    return slate_pick(rig->slate, rig->state, &rig->pick);
}

void balance_rig_count(struct balance_rig *rig, uint64_t picks, uint64_t *counts)
{
    memset(counts, 0, rig->count * sizeof *counts);
    for (uint64_t i = 0; i < picks; i++) {
        uint32_t place = balance_rig_pick(rig);
        assert_true(place < rig->count);
        counts[place]++;
    }
}

double balance_rig_chi(const uint64_t *counts, const double *parts, uint32_t count)
{
    double picks = 0, sum = 0, chi = 0;
    uint32_t classes = 0;
    for (uint32_t i = 0; i < count; i++) {
        picks += (double)counts[i];
        sum += parts[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        double expected = picks * parts[i] / sum, off = (double)counts[i] - expected;
        if (parts[i] == 0) {
            assert_int_equal(counts[i], 0);
            continue;
        }
        chi += off * off / expected;
        classes++;
    }
    return chi / (classes - 1);
}

double balance_rig_chi_most(uint32_t degrees)
{
    double spread = 2.0 / (9.0 * degrees); /* Wilson and Hilferty */
    return pow(1 - spread + 4.265 * sqrt(spread), 3);
}
