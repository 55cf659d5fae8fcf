/* Several texts as one, so that others never give the same: each with its length before it. Of the
 * files of `idempotent` alone. */
#pragma once

#include "base/arena.h"

/* In the arena; null data without memory. */
struct slice idempotency_join(struct arena *arena, const struct slice *parts, size_t count);
