/* By lot, in proportion to the weights. */
#include "balance/draw.h"

#include <stdlib.h>

#define DRAWS 32

static uint32_t pick_by_lot(void *state, const struct pick *pick)
{
    (void)state;
    for (int draws = 0; pick->group->count && draws < DRAWS; draws++) {
        uint32_t index = draw_by_weight(pick->group->table, pick->random);
        if (index != PICK_NONE && candidate_will_do(pick, index))
            return index;
    }
    return draw_any(pick);
}

const struct balancer_type random_balancer = {
    .name = "random",
    .help = "By lot, in proportion to the weights.",
    .build = draw_build,
    .release = free,
    .pick = pick_by_lot,
};
