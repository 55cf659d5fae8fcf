/* Long bodies that go from one connection to another through a pipe (run/splice.h). */
#include "http/h1.h"

#include <signal.h>
#include <stdlib.h>

#include "run/loop.h"
#include "run/scope.h"
#include "run/socket.h"
#include "run/splice.h"
#include "support/unit.h"

#define LONG ((size_t)1 << 20)

static const struct h1_limits usual = H1_LIMITS_DEFAULT;

/* A service that writes into `service`, a gateway between `upstream` and `client`, and who reads
 * what it sent from `browser`. */
struct scene {
    struct stream *service, *client, *browser;
    struct wire upstream;
    struct arena arena;
    struct scope scope;
    size_t announced, written; /* by the service: what it says, what it sends */
    struct h1_body body;
    uint64_t sent;
    bool is_source;
    enum status outcome;
};

static char byte_at(size_t i)
{
    return (char)('a' + i % 23);
}

static void serve(void *argument)
{
    struct scene *scene = argument;
    char head[64], *bytes = malloc(LONG);
    for (size_t i = 0; i < LONG; i++)
        bytes[i] = byte_at(i);
    struct text text = text_fixed(head, sizeof head);
    text_add_literal(&text, "HTTP/1.1 200 OK\r\nContent-Length: ");
    text_add_u64(&text, scene->announced);
    text_add_literal(&text, "\r\n\r\n");
    assert_ok(stream_write(scene->service, text.data, text.size, NEVER, NULL));
    (void)stream_write(scene->service, bytes, scene->written, NEVER, NULL);
    free(bytes);
    if (scene->written < scene->announced)
        (void)stream_shutdown(scene->service);
}

static void forward(void *argument)
{
    struct scene *scene = argument;
    struct http_response response;
    struct h1_framing framing;
    assert_ok(h1_read_response(
        &scene->upstream, &scene->arena, &usual, METHOD_GET, NEVER, &response, &framing));
    h1_body_init(&scene->body, &scene->upstream, &usual, &framing, &scene->arena, 30 * SECOND);
    scene->outcome = h1_send(scene->client, SLICE("HEAD"), &scene->body.body, &framing, 30 * SECOND,
        loop_now() + 30 * SECOND, &scene->sent, &scene->is_source);
    body_drop(&scene->body.body);
    (void)stream_shutdown(scene->client);
}

/* Reads to the end; how many bytes of the body came, each of which must be right. */
static size_t receive(struct stream *browser)
{
    size_t total = 0, size;
    char *room = malloc(100000);
    while (stream_read(browser, room, 100000, NEVER, &size) == OK)
        for (size_t i = 0; i < size; i++, total++)
            if (room[i] != (total < 4 ? "HEAD"[total] : byte_at(total - 4)))
                fail_msg("byte %zu is wrong", total);
    free(room);
    return total - 4;
}

static void begin(struct scene *scene, size_t announced, size_t written)
{
    struct stream *upstream;
    *scene = (struct scene){.announced = announced, .written = written};
    assert_ok(socket_pair(&scene->service, &upstream));
    assert_ok(socket_pair(&scene->client, &scene->browser));
    wire_init(&scene->upstream, upstream);
    arena_init(&scene->arena, 0, 0);
    scope_init(&scene->scope);
    assert_ok(scope_start(&scene->scope, serve, scene));
    assert_ok(scope_start(&scene->scope, forward, scene));
}

static void end(struct scene *scene)
{
    assert_ok(scope_wait(&scene->scope, loop_now() + 30 * SECOND));
    wire_release(&scene->upstream);
    stream_close(scene->service);
    stream_close(scene->client);
    stream_close(scene->browser);
    arena_release(&scene->arena);
    struct loop_counters counters;
    loop_read_counters(loop_current(), &counters);
    assert_int_equal(counters.buffers_lent, 0);
}

static void move_whole(void *argument)
{
    struct scene scene;
    (void)argument;
    begin(&scene, LONG - 5, LONG - 5);
    assert_int_equal(receive(scene.browser), LONG - 5);
    assert_ok(scene.outcome);
    assert_int_equal(scene.sent, LONG - 5);
    assert_int_equal(scene.body.received, LONG - 5);
    assert_true(h1_body_is_complete(&scene.body));
    assert_true(stream_is_quiet(scene.upstream.stream));
    end(&scene);
}

static void a_long_body_arrives_whole(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, move_whole, NULL));
}

static void leave_the_rest(void *argument)
{
    struct scene scene;
    char room[16];
    size_t size;
    (void)argument;
    begin(&scene, LONG - 7, LONG);
    assert_int_equal(receive(scene.browser), LONG - 7);
    assert_ok(scene.outcome);
    assert_false(stream_is_quiet(scene.upstream.stream));
    assert_ok(stream_read(scene.upstream.stream, room, sizeof room, NEVER, &size));
    assert_int_equal(size, 7);
    end(&scene);
}

static void what_follows_a_body_stays_where_it_is(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, leave_the_rest, NULL));
}

static void break_off(void *argument)
{
    struct scene scene;
    (void)argument;
    begin(&scene, LONG, LONG / 2);
    assert_int_equal(receive(scene.browser), LONG / 2);
    assert_status(scene.outcome, INCOMPLETE);
    assert_true(scene.is_source);
    assert_int_equal(scene.sent, LONG / 2);
    assert_false(h1_body_is_complete(&scene.body));
    end(&scene);
}

static void a_body_that_breaks_off_is_the_sources_fault(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, break_off, NULL));
}

static void run_away(void *argument)
{
    struct scene scene;
    char room[100];
    size_t size;
    (void)argument;
    begin(&scene, LONG, LONG);
    assert_ok(stream_read(scene.browser, room, sizeof room, NEVER, &size));
    stream_close(scene.browser);
    scene.browser = NULL;
    while (scene.outcome == OK)
        assert_ok(fiber_sleep_until(loop_now() + MILLISECOND));
    assert_status(scene.outcome, CLOSED);
    assert_false(scene.is_source);
    stream_close(scene.upstream.stream);
    scene.upstream.stream = NULL;
    end(&scene);
}

static void a_client_that_leaves_is_not_the_sources_fault(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, run_away, NULL));
}

/* Whether all of a message's body leaves with its head, as far as it is worth while. */
static size_t peeked(size_t written)
{
    struct scene scene;
    struct stream *upstream;
    struct http_response response;
    struct h1_framing framing;
    bool last = false;
    scene = (struct scene){.announced = written, .written = written};
    assert_ok(socket_pair(&scene.service, &upstream));
    wire_init(&scene.upstream, upstream);
    arena_init(&scene.arena, 0, 0);
    serve(&scene);
    assert_ok(h1_read_response(
        &scene.upstream, &scene.arena, &usual, METHOD_GET, NEVER, &response, &framing));
    h1_body_init(&scene.body, &scene.upstream, &usual, &framing, &scene.arena, 30 * SECOND);
    struct slice here = body_peek(&scene.body.body, &last);
    for (size_t i = 0; i < here.size; i++)
        assert_int_equal(here.data[i], byte_at(i));
    assert_int_equal(last, here.size == written);
    body_drop(&scene.body.body);
    wire_release(&scene.upstream);
    stream_close(scene.service);
    arena_release(&scene.arena);
    return here.size;
}

static void peek_at_some(void *argument)
{
    (void)argument;
    assert_int_equal(peeked(5000), 5000);
    assert_int_equal(peeked(20000), 20000);
    assert_in_range(peeked(100000), 1, 8192);
}

static void what_is_not_worth_a_pipe_leaves_in_one_piece(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, peek_at_some, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_body_arrives_whole),
        cmocka_unit_test(what_follows_a_body_stays_where_it_is),
        cmocka_unit_test(a_body_that_breaks_off_is_the_sources_fault),
        cmocka_unit_test(a_client_that_leaves_is_not_the_sources_fault),
        cmocka_unit_test(what_is_not_worth_a_pipe_leaves_in_one_piece),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
