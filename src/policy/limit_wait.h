/* Waiting until a limit has room (`over: delay`, `over: queue`), and keeping somebody waiting who
 * is refused all the same (`over: tarpit`). */
#pragma once

#include "policy/limit_count.h"

/* Of a part that was refused, or that finds others in line: OK when it has passed, and is counted.
 * LIMIT_EXCEEDED: its time is over, or would be, or too many wait. CANCELLED: the client is gone;
 * and what taking says. */
enum status limit_wait(struct limit_part *part, struct exchange *x);

/* Holds the request for the time of a tarpit, unless too many are held. OK, FULL, CANCELLED. */
enum status limit_hold(const struct limit *limit, struct exchange *x);

/* Of what passes later (`delay` of its decision): waits until then. LIMIT_EXCEEDED: that is too
 * late for it, or too many wait; CANCELLED. */
enum status limit_hold_back(const struct limit_part *part, struct exchange *x);
