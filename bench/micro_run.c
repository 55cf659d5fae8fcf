/* What the run floor's operations cost, in nanoseconds each: the least of several runs. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "run/buffer.h"
#include "run/loop.h"
#include "run/mailbox.h"
#include "run/socket.h"
#include "run/timer.h"

#define RUNS 7

struct bench {
    const char *name;
    long operations;
    fiber_function *run; /* of the whole, on a fiber; the argument is the number of operations */
};

static struct fiber *pong_fiber, *ping_fiber;

static void pong(void *argument)
{
    long left = *(long *)argument / 2;
    pong_fiber = fiber_current();
    while (left-- > 0) {
        fiber_wake(ping_fiber);
        must(fiber_wait(NEVER) == OK);
    }
}

/* One wake and one wait each way: two switches. */
static void switches_until(long operations, int64_t patience)
{
    struct scope scope;
    scope_init(&scope);
    ping_fiber = fiber_current();
    must(scope_start(&scope, pong, &operations) == OK);
    for (long i = 0; i < operations / 2; i++) {
        must(fiber_wait(patience ? loop_now() + patience : NEVER) == OK);
        fiber_wake(pong_fiber);
    }
    must(scope_wait(&scope, NEVER) == OK);
}

static void switches(void *argument)
{
    switches_until(*(long *)argument, 0);
}

static void switches_with_deadline(void *argument)
{
    switches_until(*(long *)argument, 10 * SECOND);
}

static void nothing(void *argument)
{
    ++*(long *)argument;
}

static void starts(void *argument)
{
    struct scope scope;
    long done = 0;
    scope_init(&scope);
    for (long i = 0; i < *(long *)argument; i++) {
        must(scope_start(&scope, nothing, &done) == OK);
        must(scope_wait(&scope, NEVER) == OK);
    }
    must(done == *(long *)argument);
}

static void rang(struct timer *timer)
{
    (void)timer;
}

static void timers(void *argument)
{
    enum { COUNT = 1000 };
    static struct timer set[COUNT];
    for (int i = 0; i < COUNT; i++)
        timer_init(&set[i], rang);
    for (long i = 0; i < *(long *)argument; i += COUNT) {
        for (int j = 0; j < COUNT; j++)
            timer_set(&set[j], loop_now() + (j % 60 + 1) * SECOND);
        for (int j = 0; j < COUNT; j++)
            timer_cancel(&set[j]);
    }
}

static void timers_again(void *argument)
{
    struct timer timer;
    timer_init(&timer, rang);
    for (long i = 0; i < *(long *)argument; i++) {
        timer_set(&timer, loop_now() + 10 * SECOND + i);
        timer_rest(&timer);
    }
    timer_cancel(&timer);
}

static void buffers(void *argument)
{
    for (long i = 0; i < *(long *)argument; i++)
        buffer_give(buffer_take());
}

static void yields(void *argument)
{
    for (long i = 0; i < *(long *)argument; i++)
        fiber_yield();
}

static void echo(void *argument)
{
    char room[256];
    size_t size;
    while (stream_read(argument, room, sizeof room, loop_now() + 10 * SECOND, &size) == OK)
        must(stream_write(argument, room, size, loop_now() + 10 * SECOND, NULL) == OK);
}

static void trips(struct stream *a, struct stream *b, long count)
{
    struct scope scope;
    char room[256] = {0};
    size_t size;
    scope_init(&scope);
    must(scope_start(&scope, echo, b) == OK);
    for (long i = 0; i < count; i++) {
        must(stream_write(a, room, 128, loop_now() + 10 * SECOND, NULL) == OK);
        must(stream_read(a, room, sizeof room, loop_now() + 10 * SECOND, &size) == OK);
    }
    scope_end(&scope);
    stream_close(a);
    stream_close(b);
}

static void round_trips_on_a_pair(void *argument)
{
    struct stream *a, *b;
    must(socket_pair(&a, &b) == OK);
    trips(a, b, *(long *)argument);
}

static void keep(void *argument, int descriptor, const struct address *peer)
{
    must(socket_adopt(descriptor, peer, argument) == OK);
}

static void round_trips_on_tcp(void *argument)
{
    struct stream *a, *b = NULL;
    struct acceptor *acceptor;
    struct address address;
    int descriptor;
    must(address_parse(SLICE("127.0.0.1:0"), &address) == OK);
    must(socket_listen(&address, 16, &descriptor) == OK);
    must(getsockname(descriptor, &address.any, &address.size) == 0);
    must(acceptor_new(descriptor, keep, &b, &acceptor) == OK);
    must(socket_connect(&address, NULL, NEVER, &a) == OK);
    while (!b)
        fiber_yield();
    acceptor_free(acceptor);
    close(descriptor);
    trips(a, b, *(long *)argument);
}

static long delivered;

static void deliver(struct message *message)
{
    (void)message;
    delivered++;
}

static void posts_to_self(void *argument)
{
    static struct message messages[100];
    for (long i = 0; i < *(long *)argument; i += 100) {
        for (int j = 0; j < 100; j++) {
            messages[j].deliver = deliver;
            mailbox_post(loop_current(), &messages[j]);
        }
        fiber_yield();
    }
}

struct ball {
    struct message message;
    struct loop *to, *from;
    struct fiber *owner;
    long left;
};

/* The other side sends it back; here it goes out again, until the end wakes its owner. */
static void bounce(struct message *message)
{
    struct ball *ball = (struct ball *)message;
    struct loop *here = ball->to;
    if (ball->left-- == 0) {
        fiber_wake(ball->owner);
        return;
    }
    ball->to = ball->from;
    ball->from = here;
    mailbox_post(ball->to, message);
}

static struct loop *other_loop;
static pthread_barrier_t other_is_ready;

static void *run_other(void *argument)
{
    (void)argument;
    must(loop_new(NULL, &other_loop) == OK);
    pthread_barrier_wait(&other_is_ready);
    loop_run(other_loop);
    pthread_barrier_wait(&other_is_ready);
    loop_free(other_loop);
    return NULL;
}

static void stop_other(struct message *message)
{
    (void)message;
    loop_stop(loop_current());
}

static void posts_between_threads(void *argument)
{
    pthread_t thread;
    static struct message end = {.deliver = stop_other};
    pthread_barrier_init(&other_is_ready, NULL, 2);
    must(pthread_create(&thread, NULL, run_other, NULL) == 0);
    pthread_barrier_wait(&other_is_ready);
    struct ball ball = {.message.deliver = bounce,
        .to = other_loop,
        .from = loop_current(),
        .owner = fiber_current(),
        .left = (*(long *)argument | 1)};
    mailbox_post(other_loop, &ball.message);
    must(fiber_wait(NEVER) == OK);
    mailbox_post(other_loop, &end);
    pthread_barrier_wait(&other_is_ready);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&other_is_ready);
}

static const struct bench benches[] = {
    {"switch: wake another fiber and wait for it", 4000000, switches},
    {"the same with a deadline", 4000000, switches_with_deadline},
    {"fiber: start, run, end, and wait for its end", 1000000, starts},
    {"timer: set and cancel, of a thousand", 2000000, timers},
    {"timer: set again and rest", 4000000, timers_again},
    {"buffer: take and give", 4000000, buffers},
    {"yield: a whole round of the loop", 200000, yields},
    {"socket pair: 128 bytes there and back", 100000, round_trips_on_a_pair},
    {"TCP: 128 bytes there and back", 100000, round_trips_on_tcp},
    {"mailbox: post and deliver, a hundred a round", 2000000, posts_to_self},
    {"mailbox: from one sleeping thread to another", 50000, posts_between_threads},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof benches / sizeof benches[0]; i++) {
        const struct bench *bench = &benches[i];
        if (argc > 1 && !strstr(bench->name, argv[1]))
            continue;
        double best = 0;
        for (int run = 0; run < RUNS; run++) {
            long operations = bench->operations;
            instant began = clock_now();
            must(loop_run_main(NULL, bench->run, &operations) == OK);
            double cost = (double)(clock_now() - began) / (double)bench->operations;
            best = run == 0 || cost < best ? cost : best;
        }
        printf("%-48s %9.1f ns\n", bench->name, best);
    }
    return 0;
}
