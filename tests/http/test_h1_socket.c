/* Both sides of HTTP/1.1 over real sockets, each on its own fiber. */
#include "http/h1.h"

#include <stdlib.h>

#include "run/loop.h"
#include "run/scope.h"
#include "run/socket.h"
#include "support/unit.h"

#define BIG ((uint64_t)64 << 20)

static const struct h1_limits usual = H1_LIMITS_DEFAULT;

/* One connection, seen from both ends, and what the sides noticed. */
struct scene {
    struct wire client, server;
    struct arena client_arena, server_arena;
    struct scope scope;
    fiber_function *play_server, *play_client;
    struct http_request request;
    struct http_response response;
    struct h1_framing request_framing, response_framing;
    struct h1_body request_body, response_body;
    uint64_t sent;
    bool is_source;
    unsigned asked;
    bool is_done; /* by both sides */
};

static void play(void *argument)
{
    struct scene *scene = argument;
    struct stream *a, *b;
    assert_ok(socket_pair(&a, &b));
    wire_init(&scene->client, a);
    wire_init(&scene->server, b);
    arena_init(&scene->client_arena, 0, 0);
    arena_init(&scene->server_arena, 0, 0);
    scope_init(&scene->scope);
    assert_ok(scope_start(&scene->scope, scene->play_server, scene));
    scene->play_client(scene);
    assert_ok(scope_wait(&scene->scope, loop_now() + 30 * SECOND));
    wire_release(&scene->client);
    wire_release(&scene->server);
    arena_release(&scene->client_arena);
    arena_release(&scene->server_arena);
    struct loop_counters counters;
    loop_read_counters(loop_current(), &counters);
    assert_int_equal(counters.buffers_lent, 0);
    scene->is_done = true;
}

static void run_scene(fiber_function *client, fiber_function *server)
{
    static struct scene scene;
    scene = (struct scene){.play_client = client, .play_server = server};
    assert_ok(loop_run_main(NULL, play, &scene));
    assert_true(scene.is_done);
}

/* --- the sides' common steps */

static void say(struct wire *connection, struct slice text)
{
    assert_ok(
        stream_write(connection->stream, text.data, text.size, loop_now() + 30 * SECOND, NULL));
}

static void serve_head(struct scene *scene)
{
    assert_ok(h1_read_request(&scene->server, &scene->server_arena, &usual,
        loop_now() + 30 * SECOND, &scene->request, &scene->request_framing));
    h1_body_init(&scene->request_body, &scene->server, &usual, &scene->request_framing,
        &scene->server_arena, 30 * SECOND);
}

static void await_answer(struct scene *scene)
{
    assert_ok(h1_read_response(&scene->client, &scene->client_arena, &usual, METHOD_GET,
        loop_now() + 30 * SECOND, &scene->response, &scene->response_framing));
    h1_body_init(&scene->response_body, &scene->client, &usual, &scene->response_framing,
        &scene->client_arena, 30 * SECOND);
}

static uint64_t count_body(struct h1_body *body)
{
    struct slice bytes;
    uint64_t size = 0;
    enum status e;
    while ((e = body_read(&body->body, NEVER, &bytes)) == OK)
        size += bytes.size;
    assert_status(e, END);
    body_drop(&body->body);
    return size;
}

/* Many bytes from a little memory; of known length, or not. */
struct source {
    struct body body;
    uint64_t left;
};

static enum status read_source(struct body *body, instant deadline, struct slice *ret_bytes)
{
    static const char zeros[100000];
    struct source *source = (struct source *)body;
    (void)deadline;
    if (source->left == 0)
        return END;
    *ret_bytes = slice_of(zeros, source->left < sizeof zeros ? source->left : sizeof zeros);
    source->left -= ret_bytes->size;
    return OK;
}

static struct source source_of(uint64_t size, bool is_known)
{
    static const struct body_ops ops = {.read = read_source};
    return (struct source){{&ops, is_known ? (int64_t)size : BODY_LENGTH_UNKNOWN, NULL}, size};
}

static enum status send_source(
    struct scene *scene, struct wire *to, struct slice head, struct source source)
{
    struct h1_framing framing = {.kind = source.body.length >= 0 ? H1_LENGTH : H1_CHUNKED,
        .length = source.body.length >= 0 ? (uint64_t)source.body.length : 0};
    return h1_send(to->stream, head, &source.body, &framing, 30 * SECOND, NEVER, &scene->sent,
        &scene->is_source);
}

/* --- large bodies both ways, at the pace of the slower side */

#define BIG_TEXT "67108864"

static void echo_size(void *argument)
{
    struct scene *scene = argument;
    serve_head(scene);
    assert_int_equal(count_body(&scene->request_body), BIG);
    assert_ok(send_source(scene, &scene->server,
        SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), source_of(BIG, false)));
}

static void send_and_receive_much(void *argument)
{
    struct scene *scene = argument;
    assert_ok(send_source(scene, &scene->client,
        SLICE("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: " BIG_TEXT "\r\n\r\n"),
        source_of(BIG, true)));
    assert_int_equal(scene->sent, BIG);
    await_answer(scene);
    assert_int_equal(count_body(&scene->response_body), BIG);
}

static void much_goes_both_ways(void **state)
{
    (void)state;
    run_scene(send_and_receive_much, echo_size);
}

/* --- 100-continue */

static void grant(void *argument)
{
    struct scene *scene = argument;
    scene->asked++;
    say(&scene->server, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
}

static void ask_then_answer(void *argument)
{
    struct scene *scene = argument;
    serve_head(scene);
    assert_true(scene->request_framing.expects_continue);
    scene->request_body.before_wait = grant;
    scene->request_body.before_wait_argument = scene;
    assert_int_equal(count_body(&scene->request_body), 5);
    assert_int_equal(scene->asked, 1);
    say(&scene->server, SLICE("HTTP/1.1 204 No Content\r\n\r\n"));
}

static void wait_to_be_asked(void *argument)
{
    struct scene *scene = argument;
    say(&scene->client, SLICE("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                              "Expect: 100-continue\r\n\r\n"));
    await_answer(scene);
    assert_int_equal(scene->response.status, 100);
    say(&scene->client, SLICE("hello"));
    await_answer(scene);
    assert_int_equal(scene->response.status, 204);
}

static void the_client_waits_to_be_asked(void **state)
{
    (void)state;
    run_scene(wait_to_be_asked, ask_then_answer);
}

/* --- an answer before the request's end */

static void refuse_early(void *argument)
{
    struct scene *scene = argument;
    serve_head(scene);
    say(&scene->server, SLICE("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"));
    assert_false(h1_body_is_complete(&scene->request_body));
    body_drop(&scene->request_body.body);
    assert_ok(stream_shutdown(scene->server.stream));
}

static void upload(void *argument)
{
    struct scene *scene = argument;
    enum status e = send_source(scene, &scene->client,
        SLICE("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: " BIG_TEXT "\r\n\r\n"),
        source_of(BIG, true));
    assert_status(e, CANCELLED);
    assert_false(scene->is_source);
    assert_true(scene->sent < BIG);
}

static void upload_until_answered(void *argument)
{
    struct scene *scene = argument;
    struct scope uploading;
    scope_init(&uploading);
    assert_ok(scope_start(&uploading, upload, scene));
    await_answer(scene);
    assert_int_equal(scene->response.status, 413);
    assert_int_equal(count_body(&scene->response_body), 2);
    scope_end(&uploading);
}

static void an_early_answer_is_seen_while_sending(void **state)
{
    (void)state;
    run_scene(upload_until_answered, refuse_early);
}

/* --- a client that has said all it has to say */

static void answer_the_half_closed(void *argument)
{
    struct scene *scene = argument;
    serve_head(scene);
    assert_int_equal(count_body(&scene->request_body), 0);
    assert_status(h1_read_request(&scene->server, &scene->server_arena, &usual, NEVER,
                      &scene->request, &scene->request_framing),
        END);
    say(&scene->server, SLICE("HTTP/1.1 200 OK\r\n\r\nuntil the end"));
    assert_ok(stream_shutdown(scene->server.stream));
}

static void half_close(void *argument)
{
    struct scene *scene = argument;
    say(&scene->client, SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_ok(stream_shutdown(scene->client.stream));
    await_answer(scene);
    assert_int_equal(scene->response_framing.kind, H1_UNTIL_CLOSE);
    assert_int_equal(count_body(&scene->response_body), 13);
}

static void a_half_closed_client_gets_its_answer(void **state)
{
    (void)state;
    run_scene(half_close, answer_the_half_closed);
}

/* --- waiting */

static void stay_silent(void *argument)
{
    struct scene *scene = argument;
    struct slice bytes;
    serve_head(scene);
    scene->request_body.idle = 10 * MILLISECOND;
    assert_ok(body_read(&scene->request_body.body, NEVER, &bytes));
    assert_int_equal(bytes.size, 3);
    assert_status(body_read(&scene->request_body.body, NEVER, &bytes), TIMEOUT);
    assert_null(scene->server.buffer);
    body_drop(&scene->request_body.body);
}

static void stop_in_the_middle(void *argument)
{
    struct scene *scene = argument;
    say(&scene->client, SLICE("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"));
    assert_ok(scope_wait(&scene->scope, loop_now() + 30 * SECOND));
}

static void a_body_that_stops_times_out(void **state)
{
    (void)state;
    run_scene(stop_in_the_middle, stay_silent);
}

static void read_one_more(void *argument)
{
    struct scene *scene = argument;
    struct slice bytes;
    assert_status(body_read(&scene->request_body.body, NEVER, &bytes), CANCELLED);
}

/* Cancelling the fiber that reads does not spoil the body for the next one. */
static void go_on_after_cancellation(void *argument)
{
    struct scene *scene = argument;
    struct scope reading;
    serve_head(scene);
    scope_init(&reading);
    assert_ok(scope_start(&reading, read_one_more, scene));
    fiber_yield();
    scope_end(&reading);
    say(&scene->server, SLICE("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    assert_int_equal(count_body(&scene->request_body), 5);
}

static void send_when_answered(void *argument)
{
    struct scene *scene = argument;
    say(&scene->client, SLICE("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"));
    await_answer(scene);
    say(&scene->client, SLICE("hello"));
}

static void a_cancelled_reader_can_be_replaced(void **state)
{
    (void)state;
    run_scene(send_when_answered, go_on_after_cancellation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(much_goes_both_ways),
        cmocka_unit_test(the_client_waits_to_be_asked),
        cmocka_unit_test(an_early_answer_is_seen_while_sending),
        cmocka_unit_test(a_half_closed_client_gets_its_answer),
        cmocka_unit_test(a_body_that_stops_times_out),
        cmocka_unit_test(a_cancelled_reader_can_be_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
