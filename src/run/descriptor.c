#include "run/descriptor.h"

#include "run/fiber_core.h"
#include "run/io.h"

struct expectation {
    struct fiber *fiber;
    bool is_met;
};

static void meet(void *argument, unsigned ready)
{
    struct expectation *expectation = argument;
    (void)ready;
    expectation->is_met = true;
    fiber_wake(expectation->fiber);
}

static enum status wait_for(int descriptor, unsigned interest, instant deadline)
{
    struct io io;
    struct expectation expectation = {.fiber = fiber_that_waits()};
    enum status e = io_watch(&io, descriptor, interest | IO_EDGE, meet, &expectation);
    if (e)
        return e;
    while (e == OK && !expectation.is_met)
        e = fiber_wait(deadline);
    io_remove(&io);
    return e;
}

enum status descriptor_wait_readable(int descriptor, instant deadline)
{
    return wait_for(descriptor, IO_READ, deadline);
}

enum status descriptor_wait_writable(int descriptor, instant deadline)
{
    return wait_for(descriptor, IO_WRITE, deadline);
}
