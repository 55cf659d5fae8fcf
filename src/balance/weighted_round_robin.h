/* Smooth weighted round robin, for balancers that fall back on it. */
#pragma once

#include "balance/balancer.h"

/* Picks by turns in proportion to the weights, spread as evenly as can be: 5:1:1 gives a a b a c a
 * a. `credits` has one number for each candidate, 0 in the beginning. */
uint32_t weighted_round_robin_pick(int64_t *credits, const struct pick *pick);
