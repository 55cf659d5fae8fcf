/* The answer's body that `idempotent` has read, to be read again by the client's side. Of its files
 * alone. */
#pragma once

#include "http/body.h"

/* All of it, or its beginning, with the rest where it came from. */
struct idempotency_download {
    struct body body;
    struct body *inner; /* dropped with this */
    struct slice bytes; /* of what was read, that which nobody has read again */
    bool is_whole;      /* there is no more */
};

/* Reads `inner` to its end, or until it is more than `max`. It is `inner`'s owner then, unless it
 * fails: with what reading gave, or NO_MEMORY. `is_endless`: it may come for ever, so that nobody
 * should wait for its end. */
enum status idempotency_download_init(struct idempotency_download *download, struct body *inner,
    struct arena *arena, size_t max, bool is_endless, instant deadline);
