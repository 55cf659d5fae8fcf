/* All limits of a request together. Those that stand next to each other in a chain are checked as
 * one: each has to let the request pass, and one that another refuses is counted in none, so that
 * who comes too often for one limit does not use up another. Those that make requests wait come
 * last, so that nobody waits who is refused anyway. */
#pragma once

#include "policy/limit_count.h"

/* Serves with this limit, those behind it, and what is behind them. */
enum status limit_stack_serve(
    const struct limit *limit, struct exchange *x, const struct handler *next);

/* The limit that a handler is, or NULL. */
static inline const struct policy_link *limit_link_of(const struct handler *handler)
{
    const struct policy_link *link = policy_link_of(handler);
    return link && link->type == &limit_policy ? link : NULL;
}
