/* Counting here and settling with the store now and then (`settle: 100ms`): no request waits for a
 * round trip. Each gateway counts in its own table, as if it were alone. When a key's time has
 * come, a fiber beside the request that finds it so tells the store what was counted here since,
 * and hears what all gateways have: what is more than is known here is then counted here, too.
 *
 * Of a token bucket time is settled: its debt, in nanoseconds. What this gateway has counted since
 * the last time is its debt now, less what of the settled debt is left by now. So nothing is
 * counted twice, and what was refilled meanwhile not at all. Of windows it is what was counted here
 * since the last time; what all have is known from what the store says is left.
 *
 * The error: until it hears of them, a gateway does not know what others have let through. For each
 * key every gateway but one may let through what its own bucket, or window, holds at most: of a
 * bucket the burst and what comes in between two settlements, of windows the rate. A bucket pays it
 * back, since the debt that all have made counts; a window begins anew. What was counted in a
 * window and is settled after its end counts in the next.
 *
 * Shared by all workers, bounded: a key whose place another one needs settles at once. */
#pragma once

#include "policy/limit_count.h"

struct limit_ledger;

/* NO_MEMORY. */
enum status limit_ledger_new(size_t keys, struct limit_ledger **ret_ledger);
void limit_ledger_free(struct limit_ledger *ledger); /* NULL is fine */

/* The last settlement has failed: there is no telling what others count. */
bool limit_ledger_is_alone(const struct limit_ledger *ledger);

/* What the part has taken was counted in the table. On the exchange's fiber. */
void limit_ledger_note(const struct limit_part *part, struct exchange *x);

/* What it has taken, and was noted, costs so much more, or less. */
void limit_ledger_correct(const struct limit_part *part, int64_t difference);
