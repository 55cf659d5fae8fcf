#include "run/sharing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/loop.h"
#include "run/mailbox.h"
#include "support/unit.h"

#define WORKERS_MAX 4
#define CLIENTS     1000

struct worker {
    struct message message; /* what the worker is told next */
    pthread_t thread;
    struct loop *loop;
    struct share_member *member;
    struct acceptor *acceptor;
    int guests[CLIENTS];
    size_t guest_count;
    size_t frees_after; /* this many guests it frees its acceptor; 0: never */
};

static struct share_group *group;
static struct worker workers[WORKERS_MAX];
static int listening;
static struct address address;
static _Atomic size_t welcomed;
static pthread_barrier_t barrier; /* of all workers and the test */
static pthread_barrier_t two;     /* of one worker and the test */

static void welcome(void *argument, int descriptor, const struct address *peer)
{
    struct worker *worker = argument;
    assert_ptr_equal(loop_current(), worker->loop);
    assert_int_equal(peer->any.sa_family, AF_INET);
    worker->guests[worker->guest_count++] = descriptor;
    if (worker->guest_count == worker->frees_after) {
        acceptor_free(worker->acceptor);
        worker->acceptor = NULL;
    }
    atomic_fetch_add(&welcomed, 1);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    assert_ok(loop_new(NULL, &worker->loop));
    assert_ok(share_join(group, &worker->member));
    assert_ok(acceptor_new_shared(listening, worker->member, welcome, worker, &worker->acceptor));
    struct acceptor *second;
    assert_status(acceptor_new_shared(listening, worker->member, welcome, worker, &second), EXISTS);
    pthread_barrier_wait(&barrier);
    loop_run(worker->loop);
    pthread_barrier_wait(&barrier); /* nobody posts any more */
    loop_free(worker->loop);
    return NULL;
}

static void stop_accepting(struct message *message)
{
    struct worker *worker = (struct worker *)message;
    acceptor_free(worker->acceptor);
    worker->acceptor = NULL;
    pthread_barrier_wait(&barrier);
}

static void stop(struct message *message)
{
    struct worker *worker = (struct worker *)message;
    while (worker->guest_count > 0) {
        close(worker->guests[--worker->guest_count]);
        share_done(worker->member);
    }
    assert_int_equal(share_count(worker->member), 0);
    loop_stop(worker->loop);
}

static void tell_all(size_t count, void (*deliver)(struct message *message))
{
    for (size_t i = 0; i < count; i++) {
        workers[i].message.deliver = deliver;
        mailbox_post(workers[i].loop, &workers[i].message);
    }
}

static void start(size_t count)
{
    assert_ok(address_parse(SLICE("127.0.0.1:0"), &address));
    assert_ok(socket_listen(&address, 4096, &listening));
    getsockname(listening, &address.any, &address.size);
    assert_ok(share_group_new(count, &group));
    pthread_barrier_init(&barrier, NULL, (unsigned)count + 1);
    atomic_store(&welcomed, 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    pthread_barrier_wait(&barrier);
}

static void finish(size_t count)
{
    tell_all(count, stop_accepting);
    pthread_barrier_wait(&barrier);
    tell_all(count, stop);
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        workers[i] = (struct worker){.guest_count = 0};
    }
    share_group_free(group);
    share_group_free(NULL);
    pthread_barrier_destroy(&barrier);
    close(listening);
}

static void wait_for_all(size_t count)
{
    instant deadline = clock_now() + 10 * SECOND;
    while (atomic_load(&welcomed) < count && clock_now() < deadline)
        usleep(1000);
    assert_int_equal(atomic_load(&welcomed), count);
}

static void connect_all(int clients[CLIENTS])
{
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(clients[i] >= 0);
        assert_int_equal(connect(clients[i], &address.any, address.size), 0);
    }
    wait_for_all(CLIENTS);
}

static void close_all(int clients[CLIENTS])
{
    for (size_t i = 0; i < CLIENTS; i++)
        close(clients[i]);
}

static void spread_over(size_t count)
{
    static int clients[CLIENTS];
    size_t even = CLIENTS / count, total = 0;
    start(count);
    connect_all(clients);
    for (size_t i = 0; i < count; i++) {
        size_t has = share_count(workers[i].member);
        print_message("worker %zu of %zu: %zu connections\n", i + 1, count, has);
        assert_in_range(has, even * 8 / 10, even * 12 / 10);
        total += has;
    }
    assert_int_equal(total, CLIENTS);
    finish(count);
    close_all(clients);
}

static void connections_spread_evenly(void **state)
{
    (void)state;
    for (size_t count = 2; count <= WORKERS_MAX; count++)
        spread_over(count);
}

/* Workers leave while connections are being handed to them: the last one gets all others, and
 * each is given to somebody's callback. */
static void nothing_that_was_accepted_is_lost(void **state)
{
    (void)state;
    static int clients[CLIENTS];
    workers[0].frees_after = 50;
    workers[1].frees_after = 70;
    workers[2].frees_after = 1;
    start(4);
    connect_all(clients);
    assert_true(workers[3].acceptor && !workers[0].acceptor);
    finish(4);
    close_all(clients);
}

/* Is busy until the test says so, and frees its acceptor with connections in its inbox. */
static void stop_accepting_late(struct message *message)
{
    struct worker *worker = (struct worker *)message;
    pthread_barrier_wait(&two);
    pthread_barrier_wait(&two);
    assert_int_equal(worker->guest_count, 0);
    acceptor_free(worker->acceptor);
    worker->acceptor = NULL;
    assert_int_equal(worker->guest_count, share_count(worker->member));
}

static void who_leaves_takes_what_was_on_its_way(void **state)
{
    (void)state;
    enum { FEW = 40 };
    int clients[FEW];
    start(2);
    pthread_barrier_init(&two, NULL, 2);
    workers[1].message.deliver = stop_accepting_late;
    mailbox_post(workers[1].loop, &workers[1].message);
    pthread_barrier_wait(&two);
    for (size_t i = 0; i < FEW; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(clients[i], &address.any, address.size), 0);
    }
    while (share_count(workers[0].member) + share_count(workers[1].member) < FEW)
        usleep(1000);
    assert_true(share_count(workers[1].member) > 0);
    pthread_barrier_wait(&two);
    wait_for_all(FEW);
    finish(2);
    pthread_barrier_destroy(&two);
    for (size_t i = 0; i < FEW; i++)
        close(clients[i]);
}

static void a_group_has_room_for_so_many(void **state)
{
    (void)state;
    struct loop *loop;
    struct share_member *member;
    assert_ok(loop_new(NULL, &loop));
    assert_ok(share_group_new(1, &group));
    assert_ok(share_join(group, &member));
    assert_status(share_join(group, &member), FULL);
    loop_free(loop);
    share_group_free(group);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_spread_evenly),
        cmocka_unit_test(nothing_that_was_accepted_is_lost),
        cmocka_unit_test(who_leaves_takes_what_was_on_its_way),
        cmocka_unit_test(a_group_has_room_for_so_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
