#include "run/loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>

#include "base/must.h"
#include "run/loop_core.h"

#define STACKS_KEPT        1024
#define BUFFERS_LARGE      64
#define SPLICES_MAX        64
#define TRIM_EVERY         SECOND
#define FULL_ROUNDS        64 /* in a row, in which timers wait for what has come */
#define SIGNAL_STACK_EXTRA ((size_t)16 * 1024) /* for the handler's own frames */

_Thread_local struct loop *loop_here;

/* A loop that has no stacks to give back is not woken for it. */
static void set_trim(struct loop *loop)
{
    if (loop->stacks.free_count > STACKS_FREE_LEAST && !timer_is_set(&loop->trim))
        timer_set(&loop->trim, loop->now + TRIM_EVERY);
}

static void trim(struct timer *timer)
{
    struct loop *loop = list_entry(timer, struct loop, trim);
    stacks_trim(&loop->stacks);
}

/* A handler that reports a stack's overflow needs another stack: see fiber_report_overflow_init. */
static void add_signal_stack(struct loop *loop)
{
    stack_t old;
    size_t size = getauxval(AT_MINSIGSTKSZ) + SIGNAL_STACK_EXTRA;
    if (sigaltstack(NULL, &old) != 0 || !(old.ss_flags & SS_DISABLE))
        return;
    loop->signal_stack = malloc(size);
    if (loop->signal_stack)
        sigaltstack(&(stack_t){.ss_sp = loop->signal_stack, .ss_size = size}, NULL);
}

static void remove_signal_stack(struct loop *loop)
{
    if (!loop->signal_stack)
        return;
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    free(loop->signal_stack);
}

enum status loop_new(const struct loop_options *options, struct loop **ret_loop)
{
    static const struct loop_options usual;
    const struct loop_options *o = options ? options : &usual;
    struct loop *loop = aligned_alloc(_Alignof(struct loop), sizeof *loop);
    if (!loop)
        return NO_MEMORY;
    *loop = (struct loop){.now = clock_now()};
    wheel_init(&loop->wheel, loop->now);
    stacks_init(&loop->stacks, o->stack_size, o->stacks_kept ? o->stacks_kept : STACKS_KEPT);
    loop->buffers.large_max = o->buffers_large_max ? o->buffers_large_max : BUFFERS_LARGE;
    loop->splices.max = o->splices_max ? o->splices_max : SPLICES_MAX;
    scope_init(&loop->root);
    timer_init(&loop->trim, trim);
    random_init(&loop->random);
    checked_adopt_thread(&loop->main_checked);
    if (pthread_getcpuclockid(pthread_self(), &loop->cpu_clock) != 0)
        loop->cpu_clock = CLOCK_THREAD_CPUTIME_ID;
    struct loop *previous = loop_here;
    loop_here = loop;
    enum status e = io_loop_init(&loop->io);
    if (e == OK)
        e = mailbox_init(&loop->mailbox);
    if (e) {
        io_loop_release(&loop->io);
        free(loop);
        loop_here = previous;
        return e;
    }
    add_signal_stack(loop);
    *ret_loop = loop;
    return OK;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    must(!loop->running && loop->root.running == 0);
    mailbox_release(&loop->mailbox);
    io_loop_release(&loop->io);
    buffers_release(&loop->buffers);
    splices_release(&loop->splices);
    stacks_release(&loop->stacks);
    remove_signal_stack(loop);
    if (loop_here == loop)
        loop_here = NULL;
    free(loop);
}

/* -1: until something happens. Rounded up, since an early wake-up would only wait again. */
static int time_to_sleep(struct loop *loop)
{
    if (loop->ready_first || io_loop_is_due(&loop->io) || loop->mailbox.taken)
        return 0;
    if (loop->wheel.next == NEVER)
        return -1;
    int64_t left = loop->wheel.next - loop->now;
    if (left <= 0)
        return 0;
    left = (left + MILLISECOND - 1) / MILLISECOND;
    return left < INT32_MAX ? (int)left : INT32_MAX;
}

static void take_late_ones(struct loop *loop)
{
    if (!loop->late_first)
        return;
    if (loop->ready_first)
        loop->ready_last->next = loop->late_first;
    else
        loop->ready_first = loop->late_first;
    loop->ready_last = loop->late_last;
    loop->late_first = loop->late_last = NULL;
}

/* When the process was stopped for a while, deadlines have passed although what was waited for has
 * come: it goes first. A loop that is never done with what comes must fire its timers too. */
static bool are_timers_due(struct loop *loop, bool is_full)
{
    if (!is_full || ++loop->full_rounds > FULL_ROUNDS) {
        loop->full_rounds = 0;
        return true;
    }
    return false;
}

static void one_round(struct loop *loop)
{
    take_late_ones(loop);
    int timeout = time_to_sleep(loop);
    if (timeout != 0 && !mailbox_fall_asleep(&loop->mailbox))
        timeout = 0;
    bool is_full = io_loop_poll(&loop->io, timeout);
    if (timeout != 0)
        mailbox_wake_up(&loop->mailbox);
    loop->now = clock_now();
    loop->wall = 0;
    mailbox_deliver(&loop->mailbox);
    if (loop->now >= loop->wheel.next && are_timers_due(loop, is_full))
        wheel_advance(&loop->wheel, loop->now);
    fiber_run_ready(loop);
    io_loop_call_due(&loop->io); /* now that stacks and buffers have come back, still warm */
    fiber_run_ready(loop);
    set_trim(loop);
    tally_add(&loop->tally.rounds, 1);
    atomic_store_explicit(&loop->tally.stacks, loop->stacks.count, memory_order_relaxed);
}

static bool is_finished(struct loop *loop)
{
    return (loop->stopping || loop->stops_when_empty) && loop->root.running == 0 &&
           mailbox_is_empty(&loop->mailbox);
}

void loop_run(struct loop *loop)
{
    must(loop == loop_here && !loop->running);
    while (!is_finished(loop))
        one_round(loop);
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
    scope_cancel(&loop->root);
}

struct loop *loop_current(void)
{
    return loop_here;
}

struct scope *loop_scope(struct loop *loop)
{
    return &loop->root;
}

instant loop_now(void)
{
    return loop_here->now;
}

int64_t loop_wall(void)
{
    struct loop *loop = loop_here;
    if (!loop->wall)
        loop->wall = clock_wall();
    return loop->wall;
}

struct random *loop_random(void)
{
    return &loop_here->random;
}

enum status loop_run_main(const struct loop_options *options, fiber_function *run, void *argument)
{
    struct loop *loop;
    enum status e = loop_new(options, &loop);
    if (e)
        return e;
    loop->stops_when_empty = true;
    e = scope_start(&loop->root, run, argument);
    if (e == OK)
        loop_run(loop);
    loop_free(loop);
    return e;
}

static uint64_t cpu_time(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * (uint64_t)SECOND + (uint64_t)t.tv_nsec;
}

void loop_read_counters(const struct loop *loop, struct loop_counters *ret_counters)
{
    const struct loop_tally *tally = &loop->tally;
    *ret_counters = (struct loop_counters){
        .rounds = atomic_load_explicit(&tally->rounds, memory_order_relaxed),
        .fibers_started = atomic_load_explicit(&tally->fibers_started, memory_order_relaxed),
        .fibers_running = atomic_load_explicit(&tally->fibers_running, memory_order_relaxed),
        .stacks = atomic_load_explicit(&tally->stacks, memory_order_relaxed),
        .buffers_lent = atomic_load_explicit(&tally->buffers_lent, memory_order_relaxed),
        .splices_lent = atomic_load_explicit(&tally->splices_lent, memory_order_relaxed),
        .accept_pauses = atomic_load_explicit(&tally->accept_pauses, memory_order_relaxed),
        .kernel_tls_connections =
            atomic_load_explicit(&tally->kernel_tls_connections, memory_order_relaxed),
        .kernel_tls_bytes = atomic_load_explicit(&tally->kernel_tls_bytes, memory_order_relaxed),
        .busy_nanoseconds = cpu_time(loop->cpu_clock),
    };
}
