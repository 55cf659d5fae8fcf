/* Which algorithm a limit has, and whether its options go together with that. */
#pragma once

#include "policy/limit.h"

/* Chooses the algorithm, for who has named none too; complains. INVALID then. */
enum status limit_choose(struct reader *reader, const struct node *node, struct limit *limit);

/* How many words a record has under any of its rules. */
size_t limit_words(const struct limit *limit);

/* Whether it counts by the day or the month: that should outlive the process. */
bool limit_is_quota(const struct limit *limit);
