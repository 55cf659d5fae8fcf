/* Bodies that `idempotent` has read, to be read again by who comes next. Of its files alone. */
#pragma once

#include "http/body.h"

/* The request's, all of it in memory. */
struct idempotency_upload {
    struct body body;
    struct body *inner; /* where it came from: dropped with this */
    struct slice bytes;
    bool is_read;
};

/* Reads all of `inner` into the arena. TOO_LARGE past `max`; what reading gave. */
enum status idempotency_upload_init(struct idempotency_upload *upload, struct body *inner,
    struct arena *arena, size_t max, instant deadline);

/* The answer's: all of it, or its beginning, with the rest where it came from. */
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
