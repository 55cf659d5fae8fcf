/* The inside of a loop, for the run floor only. */
#pragma once

#include <stdatomic.h>
#include <time.h>

#include "run/buffer.h"
#include "run/fiber_core.h"
#include "run/io.h"
#include "run/loop.h"
#include "run/mailbox.h"
#include "run/stacks.h"
#include "run/wheel.h"

/* Messages from other threads: a stack that anyone pushes onto; the loop takes all of it at once
 * and turns it round. */
struct mailbox {
    _Alignas(64) _Atomic(struct message *) posted; /* newest first */
    _Atomic bool sleeping;              /* the loop (nearly) waits: whoever posts must ring */
    _Alignas(64) struct message *taken; /* oldest first, to be delivered */
    struct io bell;                     /* an eventfd */
};

enum status mailbox_init(struct mailbox *mailbox);
void mailbox_release(struct mailbox *mailbox);

/* Delivers what was posted, up to a bound. */
void mailbox_deliver(struct mailbox *mailbox);
bool mailbox_is_empty(struct mailbox *mailbox);

/* Before the loop sleeps; false: something is there, do not. */
bool mailbox_fall_asleep(struct mailbox *mailbox);
void mailbox_wake_up(struct mailbox *mailbox);

struct buffers {
    struct buffer *large, *small; /* free ones, most recently used first */
    unsigned large_free, small_free;
    size_t large_lent, large_max; /* large_max: how many may be lent before small ones are */
    size_t lent;
};

void buffers_release(struct buffers *buffers);

struct splices {
    struct splice *first; /* owned: free ones, most recently used first */
    unsigned free;
    size_t lent, max; /* max: how many may be lent at a time */
    instant retry;    /* the system refused one: none is opened before this */
};

void splices_release(struct splices *pool);

/* Written by the loop alone, read by anyone. */
struct loop_tally {
    _Atomic uint64_t rounds, fibers_started, fibers_running, stacks, buffers_lent, splices_lent,
        accept_pauses, kernel_tls_connections, kernel_tls_bytes;
};

struct loop {
    /* what each switch touches */
    instant now;
    int64_t wall;          /* at `now`; 0: not read yet */
    struct fiber *running; /* NULL: the loop itself */
    struct fiber *ready_first, *ready_last;
    struct fiber *late_first, *late_last; /* ready, but only in the next round */
    unsigned budget;                      /* switches left in this round */
    unsigned full_rounds;                 /* in a row, in which timers were held back */
    unsigned share; /* operations left that the running fiber may do without a wait */
    struct context main;
    struct checked main_checked;
    struct stacks stacks;
    struct buffers buffers;
    struct splices splices;
    struct scope root;
    bool stopping;
    bool stops_when_empty;
    struct timer trim; /* of the stacks */
    struct random random;
    struct io_loop io;
    struct wheel wheel;
    struct mailbox mailbox;
    struct loop_tally tally;
    clockid_t cpu_clock; /* of the thread */
    void *signal_stack;  /* owned */
};

/* The calling thread's loop. */
extern _Thread_local struct loop *loop_here;

static inline void tally_add(_Atomic uint64_t *counter, int64_t change)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + (uint64_t)change, memory_order_relaxed);
}
