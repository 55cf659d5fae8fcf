/* Several workers on threads of their own: they share what endpoints may bear, send each other
 * connections, and change their views while they work. Most useful under ThreadSanitizer. */
#include "run/loop.h"
#include "service/service_state.h"
#include "support/service_rig.h"
#include "support/on_loop.h"

#include <pthread.h>
#include <stdio.h>

#define WORKERS 3

struct crew {
    struct rig *rig; /* its fakes and service; its own plane is not used */
    struct registry *registry;
    struct service_plane *plane;
    pthread_t threads[WORKERS];
    struct loop *loops[WORKERS];
    struct metrics_shard *shards[WORKERS + 1];
    pthread_barrier_t started, ended;
    struct arena snapshot;
};

struct start {
    struct crew *crew;
    unsigned worker;
};

/* Requests that one fiber of a worker makes, one after the other. */
struct job {
    struct message message;
    struct crew *crew;
    const struct service *service;
    unsigned worker;
    int requests;
    int64_t hold; /* nanoseconds between head and body */
    _Atomic int failures;
    enum status last_failure;
    _Atomic bool is_done;
};

static void *run_worker(void *argument)
{
    struct start start = *(struct start *)argument;
    struct loop *loop;
    if (loop_new(NULL, &loop))
        return NULL;
    start.crew->loops[start.worker] = loop;
    pthread_barrier_wait(&start.crew->started);
    loop_run(loop);
    pthread_barrier_wait(&start.crew->ended); /* who posts is still in the loop for a moment */
    loop_free(loop);
    return NULL;
}

static void begin(struct crew *crew, struct rig *rig)
{
    struct start starts[WORKERS];
    *crew = (struct crew){.rig = rig, .registry = registry_new()};
    pthread_barrier_init(&crew->started, NULL, WORKERS + 1);
    pthread_barrier_init(&crew->ended, NULL, WORKERS + 1);
    for (unsigned i = 0; i < WORKERS; i++) {
        starts[i] = (struct start){crew, i};
        assert_int_equal(pthread_create(&crew->threads[i], NULL, run_worker, &starts[i]), 0);
    }
    pthread_barrier_wait(&crew->started);
    for (unsigned i = 0; i <= WORKERS; i++)
        assert_ok(metrics_shard_new(rig->metrics, &crew->shards[i]));
    struct service_plane_options options = {
        .registry = crew->registry,
        .workers = WORKERS,
        .worker_loops = crew->loops,
        .shards = crew->shards,
        .control_loop = loop_current(),
        .control_shard = crew->shards[WORKERS],
    };
    assert_ok(service_plane_new(&options, &crew->plane));
}

struct leave {
    struct message message;
    struct crew *crew;
    unsigned worker;
    _Atomic bool is_done;
};

static void run_leave(void *argument)
{
    struct leave *leave = argument;
    service_plane_leave_worker(leave->crew->plane, leave->worker);
    leave->is_done = true;
    loop_stop(loop_current());
}

static void deliver_leave(struct message *message)
{
    (void)scope_start(
        loop_scope(loop_current()), run_leave, list_entry(message, struct leave, message));
}

static void end(struct crew *crew)
{
    struct leave leaves[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++) {
        leaves[i] =
            (struct leave){.message = {.deliver = deliver_leave}, .crew = crew, .worker = i};
        mailbox_post(crew->loops[i], &leaves[i].message);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        rig_until(leaves[i].is_done);
    pthread_barrier_wait(&crew->ended);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(crew->threads[i], NULL);
    arena_release(&crew->snapshot);
    fiber_sleep_until(loop_now() + 2 * MILLISECOND);
    service_plane_free(crew->plane);
    assert_int_equal(registry_count(crew->registry), 0);
    registry_free(crew->registry);
    pthread_barrier_destroy(&crew->started);
    pthread_barrier_destroy(&crew->ended);
}

/* A new snapshot with the service; the old one's arena is the caller's to release. */
static const struct service *make_service(struct crew *crew, const char *yaml)
{
    struct diagnostics diagnostics;
    struct node *root;
    const struct service *service;
    arena_init(&crew->snapshot, 0, 0);
    struct slice text = arena_copy(&crew->snapshot, slice_of_text(yaml));
    struct source source = {SLICE("test.yaml"), text};
    struct reader reader = {.arena = &crew->snapshot, .diagnostics = &diagnostics};
    diagnostics_init(&diagnostics, &crew->snapshot);
    void *options = arena_zalloc(&crew->snapshot, service_table.size);
    assert_ok(tree_read(&crew->snapshot, &source, NULL, &diagnostics, &root));
    assert_ok(option_read(&reader, &service_table, root, options));
    assert_int_equal(diagnostics.errors, 0);
    assert_ok(service_prepare(crew->plane, &reader, SLICE("demo"), options, NULL, &service));
    service_activate(service);
    return service;
}

static enum status call_once(struct job *job)
{
    struct exchange x = {0};
    struct body empty;
    struct slice part;
    arena_init(&x.arena, 0, 0);
    scope_init(&x.scope);
    body_init_empty(&empty);
    x.worker = job->worker;
    x.deadline = NEVER;
    x.request = (struct http_request){.method = METHOD_GET,
        .method_text = SLICE("GET"),
        .authority = SLICE("h"),
        .path = SLICE("/"),
        .body = &empty};
    fields_init(&x.request.fields, &x.arena);
    fields_init(&x.response.fields, &x.arena);
    enum status e = service_call(job->service, &x);
    if (!e) {
        if (job->hold)
            fiber_sleep_until(loop_now() + job->hold);
        while ((e = body_read(x.response.body, NEVER, &part)) == OK)
            ;
        e = e == END ? OK : e;
        body_drop(x.response.body);
    }
    arena_release(&x.arena);
    return e;
}

static void run_job(void *argument)
{
    struct job *job = argument;
    for (int i = 0; i < job->requests; i++) {
        enum status e = call_once(job);
        if (!e)
            continue;
        job->last_failure = e;
        job->failures++;
    }
    job->is_done = true;
}

static void deliver_job(struct message *message)
{
    (void)scope_start(
        loop_scope(loop_current()), run_job, list_entry(message, struct job, message));
}

static void start_job(struct crew *crew, struct job *job, const struct service *service,
    unsigned worker, int requests, int64_t hold)
{
    *job = (struct job){.message = {.deliver = deliver_job},
        .crew = crew,
        .service = service,
        .worker = worker,
        .requests = requests,
        .hold = hold};
    mailbox_post(crew->loops[worker], &job->message);
}

static void finish_job(struct job *job)
{
    rig_until(job->is_done);
    if (job->failures)
        fail_msg("%d requests failed: %s", job->failures, status_word(job->last_failure));
}

static void test_a_worker_takes_over_an_idle_connection(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    struct crew crew;
    char yaml[128];
    begin(&crew, rig);
    snprintf(yaml, sizeof yaml, "{at: %s, connections: 1}", fake->text);
    const struct service *service = make_service(&crew, yaml);
    for (unsigned i = 0; i < 6; i++) {
        struct job job;
        start_job(&crew, &job, service, i % WORKERS, 1, 0);
        finish_job(&job);
    }
    assert_int_equal(fake->connections, 1);
    assert_int_equal(fake->requests, 6);
    end(&crew);
    rig_free(rig);
}

#define JOBS (4 * WORKERS)

static void test_few_connections_for_many(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    struct crew crew;
    struct job jobs[JOBS];
    char yaml[128];
    begin(&crew, rig);
    snprintf(yaml, sizeof yaml, "{at: %s, connections: 2}", fake->text);
    const struct service *service = make_service(&crew, yaml);
    for (unsigned i = 0; i < JOBS; i++)
        start_job(&crew, &jobs[i], service, i % WORKERS, 25, i % 2 ? 0 : 100 * MICROSECOND);
    for (unsigned i = 0; i < JOBS; i++)
        finish_job(&jobs[i]);
    assert_int_equal(fake->requests, 25 * JOBS);
    assert_true(fake->open <= 2);
    end(&crew);
    rig_free(rig);
}

/* Views change, and whole snapshots, while requests are on their way. */
static void test_changes_under_load(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct fake *first = rig_fake(rig, serve_politely, NULL);
    struct fake *second = rig_fake(rig, serve_politely, NULL);
    struct crew crew;
    struct job jobs[2][JOBS];
    struct arena old = {0};
    begin(&crew, rig);
    for (int round = 0; round < 10; round++) {
        char yaml[128];
        snprintf(yaml, sizeof yaml, round % 2 ? "[%s]" : "[%s, %s]", first->text, second->text);
        const struct service *service = make_service(&crew, yaml);
        for (unsigned i = 0; i < JOBS; i++)
            start_job(&crew, &jobs[round % 2][i], service, i % WORKERS, 10, 0);
        for (int i = 0; i < 5; i++) {
            roster_update(service->roster);
            fiber_yield();
        }
        for (unsigned i = 0; round > 0 && i < JOBS; i++)
            finish_job(&jobs[(round + 1) % 2][i]);
        arena_release(&old);
        old = crew.snapshot;
        crew.snapshot = (struct arena){0};
    }
    for (unsigned i = 0; i < JOBS; i++)
        finish_job(&jobs[1][i]);
    crew.snapshot = old;
    assert_int_equal(first->requests + second->requests, 10 * 10 * JOBS);
    end(&crew);
    rig_free(rig);
}

static int run_all(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_worker_takes_over_an_idle_connection),
        cmocka_unit_test(test_few_connections_for_many),
        cmocka_unit_test(test_changes_under_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
