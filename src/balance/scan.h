/* The cheapest of many, for balancers that compare what they find. */
#pragma once

#include "balance/balancer.h"

/* What picking a candidate would cost; any unit, the least is picked. */
typedef double candidate_cost(const struct pick *pick, const struct candidate *candidate);

#define SCAN_ALL   16 /* so many are all compared; of more … */
#define SCAN_DRAWN 8  /* … so many, drawn by lot */

/* The cheapest of all who will do; of more than SCAN_ALL, of some drawn by lot, which is nearly as
 * good and costs as much as with few. Among those that cost the same, by lot. `by_weight`: lots
 * are drawn in proportion to the weights; the group's table is then one of draw_build. PICK_NONE.
 */
uint32_t scan_cheapest(const struct pick *pick, candidate_cost *cost, bool by_weight);

/* The cheapest of `choices` (power of two choices; Mitzenmacher 1996): the first, who is picked
 * unless another costs less, and the rest drawn by lot. PICK_NONE when the first is that. */
uint32_t scan_some(const struct pick *pick, uint32_t first, candidate_cost *cost);
