/* The wheel of a loop's timers, for the run floor only.
 *
 * Time goes in ticks of 1 ms since the loop began. A timer lies in the slot of the highest digit
 * (base 64) in which its tick differs from now, so insertion and removal touch one list, and a slot
 * of a higher level is dealt out to the lower ones when its turn comes. The lowest level that has
 * anything holds the next one due.
 *
 * Arming is lazy: a timer that is set anew for later stays in the slot where it is and is dealt out
 * again when that slot's turn comes. A timer that is set before each of many waits, as a fiber's
 * is, so moves hardly ever. */
#pragma once

#include <stdint.h>

#include "base/clock.h"
#include "base/list.h"
#include "run/timer.h"

#define WHEEL_BITS   6
#define WHEEL_SLOTS  (1 << WHEEL_BITS)
#define WHEEL_LEVELS 7 /* 139 years; what lies beyond waits as if it were due then */

struct wheel {
    instant next;                /* nothing is due earlier than this; NEVER: nothing at all */
    instant began;               /* tick 0 */
    uint64_t tick;               /* all slots up to this one have had their turn */
    uint64_t used[WHEEL_LEVELS]; /* a bit a slot; may be set for one that was emptied */
    struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *wheel, instant now);

/* Puts the timer where `timer->when` (not NEVER) wants it, or leaves it in a slot that comes no
 * later. */
void wheel_set(struct wheel *wheel, instant now, struct timer *timer);

/* Fires what is due. */
void wheel_advance(struct wheel *wheel, instant now);
