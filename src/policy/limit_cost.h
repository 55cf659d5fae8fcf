/* What a request costs: 1, or what an expression says (`cost`). What that can only know when the
 * answer is sent, such as the bytes of a body, a field of the answer, or a number in a body of
 * JSON, is settled then; until then the request has taken `reserve`. Of what is no number the cost
 * is 1, or what was reserved. */
#pragma once

#include "policy/limit_count.h"

#define LIMIT_COST_MOST ((int64_t)1000000000000)

/* Hook of the option. */
enum status limit_cost_read(struct reader *reader, const struct node *node, void *ret_value);

/* Finds out when the cost is known, and what is to be read for it; complains. INVALID then. */
enum status limit_cost_prepare(struct prepare *prepare, struct limit *limit);

/* What is to be taken before the request goes on. */
int64_t limit_cost_before(const struct limit *limit, struct exchange *x);

/* The request goes on: what its body says of the cost is read along. `part` lives as long as the
 * exchange. Without memory the reserve is the cost. */
void limit_cost_begin(struct limit_part *part, struct exchange *x);

/* Sees to it that the rest is settled when the answer, which has begun, is sent. What becomes a
 * tunnel costs what was reserved. */
void limit_cost_after(struct limit_part *part, struct exchange *x);
