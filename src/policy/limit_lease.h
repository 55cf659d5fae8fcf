/* Leases of what is held in a store (limit_held.h): each worker keeps a list of its own, and renews
 * from a fiber beside all exchanges what a third of its time has passed of. So a gateway that is
 * killed is heard of no more, and what it held is free when the leases end.
 *
 * Part of a limit's state, which survives reloads; what is held is the snapshot's under which it
 * was taken. Each worker uses its own list only. */
#pragma once

#include "base/status.h"

struct limit_held;
struct limit_leases;

/* For so many workers. NO_MEMORY. */
enum status limit_leases_new(unsigned workers, struct limit_leases **ret_leases);

/* Nothing is held. NULL is fine. */
void limit_leases_free(struct limit_leases *leases);

/* It was taken just now. On its worker. */
void limit_lease_begin(struct limit_held *held);

/* It is about to be given back. */
void limit_lease_end(struct limit_held *held);
