#include "run/mailbox.h"

#include <pthread.h>
#include <stdlib.h>

#include "run/loop.h"
#include "support/unit.h"

#define SENDERS  4
#define MESSAGES 20000

struct note {
    struct message message;
    int sender, number;
};

static int received[SENDERS];
static struct loop *reader;

static void stop_when_all_came(void)
{
    for (int i = 0; i < SENDERS; i++)
        if (received[i] < MESSAGES)
            return;
    loop_stop(loop_current());
}

static void deliver(struct message *message)
{
    struct note *note = (struct note *)message;
    assert_ptr_equal(loop_current(), reader);
    assert_null(fiber_current());
    assert_int_equal(note->number, received[note->sender]);
    received[note->sender]++;
    free(note);
    stop_when_all_came();
}

static void *send_all(void *argument)
{
    for (int i = 0; i < MESSAGES; i++) {
        struct note *note = malloc(sizeof *note);
        *note = (struct note){{NULL, deliver}, (int)(intptr_t)argument, i};
        mailbox_post(reader, &note->message);
        if (i % 1000 == 0)
            sched_yield(); /* so that the reader falls asleep now and then */
    }
    return NULL;
}

static void messages_arrive_in_order_from_many_threads(void **state)
{
    (void)state;
    pthread_t threads[SENDERS];
    assert_ok(loop_new(NULL, &reader));
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, (void *)(intptr_t)i), 0);
    loop_run(reader);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    loop_free(reader);
}

struct ball {
    struct message message;
    struct loop *from, *to;
    int left;
};

static void bounce(struct message *message)
{
    struct ball *ball = (struct ball *)message;
    struct loop *here = ball->to;
    assert_ptr_equal(loop_current(), here);
    bool is_last = ball->left <= 1;
    if (ball->left-- > 0) {
        ball->to = ball->from;
        ball->from = here;
        mailbox_post(ball->to, message);
    }
    if (is_last)
        loop_stop(here);
}

static pthread_barrier_t both_there;
static struct loop *sides[2];

static void *play(void *argument)
{
    size_t side = (size_t)argument;
    assert_ok(loop_new(NULL, &sides[side]));
    pthread_barrier_wait(&both_there);
    static struct ball ball;
    if (side == 0) {
        ball = (struct ball){{NULL, bounce}, sides[0], sides[1], 20000};
        mailbox_post(sides[1], &ball.message);
    }
    loop_run(sides[side]);
    pthread_barrier_wait(&both_there);
    loop_free(sides[side]);
    return NULL;
}

static void no_wake_up_is_lost_between_two_sleepers(void **state)
{
    (void)state;
    pthread_t other;
    pthread_barrier_init(&both_there, NULL, 2);
    assert_int_equal(pthread_create(&other, NULL, play, (void *)1), 0);
    play((void *)0);
    pthread_join(other, NULL);
    pthread_barrier_destroy(&both_there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive_in_order_from_many_threads),
        cmocka_unit_test(no_wake_up_is_lost_between_two_sleepers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
