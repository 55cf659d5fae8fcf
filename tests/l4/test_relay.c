#include "l4/relay.h"

#include <stdlib.h>

#include "run/loop.h"
#include "run/scope.h"
#include "run/socket.h"
#include "support/unit.h"

/* A relay between two connections: `client` and `service` are the far ends. */
struct line {
    struct relay relay;
    struct stream *client, *service;
    struct scope scope;
    enum status outcome;
    bool has_ended;
};

static void run_relay(void *argument)
{
    struct line *line = argument;
    line->outcome = relay_run(&line->relay);
    line->has_ended = true;
}

static void line_begin(struct line *line, int64_t idle_timeout)
{
    *line = (struct line){.relay = {.idle_timeout = idle_timeout}};
    assert_ok(socket_pair(&line->client, &line->relay.client));
    assert_ok(socket_pair(&line->service, &line->relay.upstream));
    scope_init(&line->scope);
    assert_ok(scope_start(&line->scope, run_relay, line));
}

static void line_end(struct line *line)
{
    scope_end(&line->scope);
    stream_close(line->client);
    stream_close(line->service);
    stream_close(line->relay.client);
    stream_close(line->relay.upstream);
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
    assert_ok(scope_wait(&line.scope, NEVER));
    assert_ok(line.outcome);
    assert_int_equal(line.relay.forth, 8);
    assert_int_equal(line.relay.back, 10);
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
    assert_int_equal(line.relay.forth, LONG);
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
    assert_ok(scope_wait(&line.scope, NEVER));
    assert_status(line.outcome, CLIENT_CLOSED);
    line_end(&line);

    line_begin(&line, 0);
    say(line.client, "x");
    fiber_sleep_until(loop_now() + 10 * MILLISECOND);
    stream_close(line.service);
    line.service = NULL;
    assert_ok(scope_wait(&line.scope, NEVER));
    assert_status(line.outcome, UPSTREAM_CLOSED);
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
    line_begin(&line, 900 * MILLISECOND);
    instant began = loop_now();
    for (int i = 0; i < 4; i++) {
        fiber_sleep_until(loop_now() + 300 * MILLISECOND);
        say(line.service, "x");
        expect(line.client, "x");
    }
    assert_ok(scope_wait(&line.scope, NEVER));
    assert_status(line.outcome, IDLE_TIMEOUT);
    assert_true(loop_now() - began >= 2000 * MILLISECOND);
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
    scope_cancel(&line.scope);
    fiber_shield();
    assert_ok(scope_wait(&line.scope, NEVER));
    fiber_unshield();
    assert_status(line.outcome, CANCELLED);
    line_end(&line);
}

static void a_cut_ends_both_ways(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, be_cut, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_is_passed_on_and_the_other_way_goes_on),
        cmocka_unit_test(long_ones_come_whole_to_any_reader),
        cmocka_unit_test(who_breaks_off_is_named),
        cmocka_unit_test(silence_is_of_both_ways),
        cmocka_unit_test(a_cut_ends_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
