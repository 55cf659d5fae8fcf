#include "run/parking.h"

#include "run/loop.h"

void parking_call(struct parking *parking)
{
    stream_callback *call = parking->call;
    parking->call = NULL;
    if (call)
        call(parking->argument);
}

static void due(struct timer *timer)
{
    parking_call(list_entry(timer, struct parking, timer));
}

void parking_init(struct parking *parking)
{
    parking->call = NULL;
    timer_init(&parking->timer, due);
}

void parking_begin(struct parking *parking, stream_callback *call, void *argument)
{
    parking->call = call;
    parking->argument = argument;
}

void parking_end(struct parking *parking)
{
    parking->call = NULL;
    timer_cancel(&parking->timer);
}

void parking_stir(struct parking *parking)
{
    if (parking->call)
        timer_set(&parking->timer, loop_now());
}
