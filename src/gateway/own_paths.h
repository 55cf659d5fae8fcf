/* Paths that policies answer themselves, as a login does where browsers come back to: a route with
 * the policy has to lead to each, or nobody ever gets there. */
#pragma once

#include "gateway/snapshot.h"

/* Complains about each of them that no route leads to. Once the router is built, on the control
 * thread. NO_MEMORY, OK. */
enum status own_paths_check(struct reader *reader, const struct snapshot *snapshot);
