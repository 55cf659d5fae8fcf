#include "l4/relay.h"

#include <stdlib.h>

#include "run/loop.h"
#include "run/scope.h"
#include "run/socket.h"
#include "run/wait.h"
#include "support/unit.h"

/* A relay between two connections: `client` and `service` are the far ends. */
struct line {
    struct relay relay;
    struct stream *near[2]; /* owned */
    struct stream *client, *service;
    struct wait_queue end;
    bool has_ended;
};

static void note_end(struct relay *relay)
{
    struct line *line = list_entry(relay, struct line, relay);
    line->has_ended = true;
    wait_queue_wake_all(&line->end);
}

static void begin(void *argument)
{
    struct line *line = argument;
    relay_begin(&line->relay, note_end);
}

static void line_begin(struct line *line, int64_t idle_timeout)
{
    static const struct relay_meter nowhere;
    *line = (struct line){.has_ended = false};
    wait_queue_init(&line->end);
    assert_ok(socket_pair(&line->client, &line->near[0]));
    assert_ok(socket_pair(&line->service, &line->near[1]));
    relay_init(&line->relay, line->near[0], line->near[1], idle_timeout, &nowhere);
    assert_ok(scope_start(loop_scope(loop_current()), begin, line));
}

static void line_await_end(struct line *line)
{
    while (!line->has_ended)
        assert_ok(wait_queue_wait(&line->end, loop_now() + 20 * SECOND));
}

/* Cuts it if it has not ended. */
static void line_end(struct line *line)
{
    fiber_yield(); /* so that it has begun */
    if (!line->has_ended)
        relay_cut(&line->relay, CANCELLED);
    line_await_end(line);
    stream_close(line->client);
    stream_close(line->service);
    stream_close(line->near[0]);
    stream_close(line->near[1]);
}

static uint64_t fibers(void)
{
    struct loop_counters counters;
    loop_read_counters(loop_current(), &counters);
    return counters.fibers_running;
}

/* Nothing moves, and nobody but the test has a fiber. */
static void line_await_rest(const struct line *line)
{
    for (int i = 0; fibers() > 1 || !line->relay.is_parked; i++) {
        assert_in_range(i, 0, 1000);
        assert_ok(fiber_sleep_until(loop_now() + MILLISECOND));
    }
}

static void expect(struct stream *stream, const char *text)
{
    char bytes[64];
    size_t size = 0, have = 0;
    while (have < strlen(text)) {
        assert_ok(
            stream_read(stream, bytes + have, sizeof bytes - have, loop_now() + 5 * SECOND, &size));
        have += size;
    }
    assert_slices(slice_of(bytes, have), slice_of_text(text));
}

static void expect_end(struct stream *stream)
{
    char byte;
    size_t size;
    assert_status(stream_read(stream, &byte, 1, loop_now() + 5 * SECOND, &size), END);
}

static void say(struct stream *stream, const char *text)
{
    assert_ok(stream_write(stream, text, strlen(text), NEVER, NULL));
}

static void talk(void *argument)
{
    (void)argument;
    struct line line;
    line_begin(&line, 0);
    say(line.client, "question");
    expect(line.service, "question");
    say(line.service, "answer");
    expect(line.client, "answer");
    assert_ok(stream_shutdown(line.client));
    expect_end(line.service);
    say(line.service, "more");
    expect(line.client, "more");
    assert_false(line.has_ended);
    assert_ok(stream_shutdown(line.service));
    line_await_end(&line);
    assert_ok(line.relay.outcome);
    assert_int_equal(line.relay.ways[RELAY_FORTH].moved, 8);
    assert_int_equal(line.relay.ways[RELAY_BACK].moved, 10);
    line_end(&line);
}

static void an_end_is_passed_on_and_the_other_way_goes_on(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, talk, NULL));
}

#define LONG ((size_t)5 * 1024 * 1024)

static void pour(void *argument)
{
    struct line *line = argument;
    char *data = malloc(LONG);
    for (size_t i = 0; i < LONG; i++)
        data[i] = (char)(i % 251);
    assert_ok(stream_write(line->client, data, LONG, NEVER, NULL));
    assert_ok(stream_shutdown(line->client));
    free(data);
}

static void pour_until_cut(void *argument)
{
    static const char data[65536];
    while (stream_write(argument, data, sizeof data, NEVER, NULL) == OK)
        continue;
}

static void soak(struct stream *stream, size_t piece)
{
    char *data = malloc(piece);
    size_t done = 0, size;
    while (done < LONG) {
        assert_ok(stream_read(stream, data, piece, NEVER, &size));
        for (size_t i = 0; i < size; i++)
            if (data[i] != (char)((done + i) % 251))
                fail_msg("byte %zu is wrong", done + i);
        done += size;
    }
    free(data);
    expect_end(stream);
}

static void carry(void *argument)
{
    const size_t *piece = argument;
    struct line line;
    struct scope scope;
    line_begin(&line, 0);
    scope_init(&scope);
    assert_ok(scope_start(&scope, pour, &line));
    soak(line.service, *piece);
    assert_ok(scope_wait(&scope, NEVER));
    scope_end(&scope);
    assert_int_equal(line.relay.ways[RELAY_FORTH].moved, LONG);
    line_end(&line);
}

static void long_ones_come_whole_to_any_reader(void **state)
{
    (void)state;
    for (size_t piece = 1000; piece <= 1000000; piece *= 10)
        assert_ok(loop_run_main(NULL, carry, &piece));
    struct loop_options copies = {.splices_max = 1}; /* the other way may have it */
    size_t piece = 100000;
    assert_ok(loop_run_main(&copies, carry, &piece));
}

static void break_off(void *argument)
{
    (void)argument;
    struct line line;
    line_begin(&line, 0);
    say(line.client, "x"); /* nobody reads it: to close then is a reset */
    expect(line.service, "x");
    say(line.service, "y");
    fiber_sleep_until(loop_now() + 10 * MILLISECOND);
    stream_close(line.client);
    line.client = NULL;
    line_await_end(&line);
    assert_status(line.relay.outcome, CLIENT_CLOSED);
    line_end(&line);

    line_begin(&line, 0);
    say(line.client, "x");
    fiber_sleep_until(loop_now() + 10 * MILLISECOND);
    stream_close(line.service);
    line.service = NULL;
    line_await_end(&line);
    assert_status(line.relay.outcome, UPSTREAM_CLOSED);
    line_end(&line);
}

static void who_breaks_off_is_named(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, break_off, NULL));
}

static void be_silent(void *argument)
{
    (void)argument;
    struct line line;
    line_begin(&line, 1500 * MILLISECOND);
    instant began = loop_now();
    for (int i = 0; i < 4; i++) {
        fiber_sleep_until(loop_now() + 500 * MILLISECOND);
        say(line.service, "x");
        expect(line.client, "x");
    }
    line_await_end(&line);
    assert_status(line.relay.outcome, IDLE_TIMEOUT);
    assert_true(loop_now() - began >= 3400 * MILLISECOND);
    line_end(&line);
}

static void silence_is_of_both_ways(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, be_silent, NULL));
}

static void be_cut(void *argument)
{
    (void)argument;
    struct line line;
    line_begin(&line, 0);
    say(line.client, "x");
    expect(line.service, "x");
    line_await_rest(&line);
    relay_cut(&line.relay, SHUTTING_DOWN);
    line_await_end(&line);
    assert_status(line.relay.outcome, SHUTTING_DOWN);
    line_end(&line);
}

/* Both ways wait for readers that do not read. */
static void be_cut_while_busy(void *argument)
{
    (void)argument;
    struct line line;
    struct scope scope;
    line_begin(&line, 0);
    scope_init(&scope);
    assert_ok(scope_start(&scope, pour_until_cut, line.client));
    assert_ok(scope_start(&scope, pour_until_cut, line.service));
    while (!line.relay.ways[0].fiber || !line.relay.ways[1].fiber)
        assert_ok(fiber_sleep_until(loop_now() + MILLISECOND));
    assert_ok(fiber_sleep_until(loop_now() + 20 * MILLISECOND));
    relay_cut(&line.relay, SHUTTING_DOWN);
    line_await_end(&line);
    assert_status(line.relay.outcome, SHUTTING_DOWN);
    scope_end(&scope);
    line_end(&line);
}

static void a_cut_ends_both_ways(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, be_cut_while_busy, NULL));
    assert_ok(loop_run_main(NULL, be_cut, NULL));
}

static void be_idle(void *argument)
{
    (void)argument;
    struct line line;
    line_begin(&line, 0);
    for (int i = 0; i < 3; i++) {
        line_await_rest(&line);
        say(line.client, "question");
        expect(line.service, "question");
        line_await_rest(&line);
        say(line.service, "answer");
        expect(line.client, "answer");
    }
    assert_ok(stream_shutdown(line.client));
    expect_end(line.service);
    line_await_rest(&line); /* although the end of the other way is there to be read */
    say(line.service, "more");
    expect(line.client, "more");
    line_end(&line);
}

static void an_idle_one_has_no_fiber(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, be_idle, NULL));
}

/* One way is stuck, since its reader does not read: the other goes on. */
static void be_stuck(void *argument)
{
    (void)argument;
    struct line line;
    struct scope scope;
    line_begin(&line, 0);
    scope_init(&scope);
    assert_ok(scope_start(&scope, pour_until_cut, line.client));
    assert_ok(fiber_sleep_until(loop_now() + 20 * MILLISECOND));
    for (int i = 0; i < 5; i++) {
        say(line.service, "answer");
        expect(line.client, "answer");
    }
    scope_end(&scope);
    line_end(&line);
}

static void a_slow_reader_does_not_hold_up_the_other_way(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, be_stuck, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_is_passed_on_and_the_other_way_goes_on),
        cmocka_unit_test(long_ones_come_whole_to_any_reader),
        cmocka_unit_test(who_breaks_off_is_named),
        cmocka_unit_test(silence_is_of_both_ways),
        cmocka_unit_test(a_cut_ends_both_ways),
        cmocka_unit_test(an_idle_one_has_no_fiber),
        cmocka_unit_test(a_slow_reader_does_not_hold_up_the_other_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
