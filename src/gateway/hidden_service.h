/* Hidden services: those that the file does not name, but asks by an address: a policy's
 * `https://id.example/introspect`. They are services like all others, called by their address; only
 * routes cannot choose them. */
#pragma once

#include "gateway/snapshot.h"

/* The one at that address in a snapshot that is being built, made when there is none yet. INVALID
 * after a complaint, NO_MEMORY. */
enum status hidden_service_obtain(struct snapshot *snapshot, struct service_plane *plane,
    struct reader *reader, struct slice address, struct place place,
    const struct service **ret_service);
