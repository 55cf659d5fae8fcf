/* Which endpoints a set has: those written under `at`, and those that sources have found. Part of
 * endpoint_set. */
#pragma once

#include "service/endpoint_set.h"

/* How many there can be at most, and why a source has found nobody (as in the set). */
size_t endpoint_fill_count(const struct roster *roster, enum status *ret_trouble);

/* Puts them into an empty set with room for that many, with their weights, standing and labels.
 * What an older set (NULL: there is none) has and is still there is taken from it. On the control
 * thread. NO_MEMORY, FULL. */
enum status endpoint_fill(
    struct roster *roster, const struct endpoint_set *old, struct endpoint_set *set);

/* Where one stands whose place is "region/zone", or a zone alone. */
struct standing endpoint_standing(struct slice place);
