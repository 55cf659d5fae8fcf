/* Who has parked a stream that lies on another one (stream.h, `park`): news of such a stream are
 * noticed while something else is read, and he is called from the loop, not from there. Part of the
 * stream, on its loop. */
#pragma once

#include "run/stream.h"
#include "run/timer.h"

struct parking {
    struct timer timer;
    stream_callback *call; /* NULL: nobody has parked it */
    void *argument;
};

void parking_init(struct parking *parking);

/* What `park` and `unpark` begin and end with. */
void parking_begin(struct parking *parking, stream_callback *call, void *argument);
void parking_end(struct parking *parking);

/* There are news: who has parked the stream is called soon. Without him nothing happens. */
void parking_stir(struct parking *parking);

/* The same at once, for who is called from the loop himself. */
void parking_call(struct parking *parking);
