/* The sweep: a fiber on the control loop that looks at all services again and again. It brings
 * ejected endpoints back, compares endpoints and looks for panic (outlier.h), and gives those who
 * pick other weights where they have changed (grade.h).
 *
 * It rests while there is nothing to look at: without requests it wakes once an interval of the
 * statistics, and when something happens to an endpoint. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "run/mailbox.h"

#define SWEEP_EVERY (200 * MILLISECOND) /* at the most often, and while requests come */

struct errand;
struct fiber;
struct service_plane;

/* Part of the plane. */
struct sweep {
    struct errand *errand;   /* of the control thread, as the next; NULL: not running */
    struct fiber *fiber;     /* once it runs */
    _Atomic bool rests;      /* it waits to be woken */
    _Atomic bool is_stirred; /* something has happened since it looked last */
    _Atomic bool is_posted;  /* the message is on its way */
    struct message message;  /* from a worker */
};

/* Runs from now on; again is harmless. On the control loop. */
void sweep_start(struct service_plane *plane);
void sweep_stop(struct service_plane *plane);

/* Something has happened to an endpoint: looks soon. From any thread. */
void sweep_stir(struct service_plane *plane);
