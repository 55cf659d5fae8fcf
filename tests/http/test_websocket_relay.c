#include "http/websocket_relay.h"

#include "run/loop.h"
#include "run/socket.h"
#include "support/unit.h"

/* A relay between two socket pairs: the test plays the client and the service. */
struct scene {
    struct websocket_relay relay;
    struct wire client, service;               /* the relay's ends */
    struct stream *client_peer, *service_peer; /* the test's */
    struct fiber *fiber;
    bool has_ended;
};

static struct scene *scene_of(struct websocket_relay *relay)
{
    return list_entry(relay, struct scene, relay);
}

static void ended(struct websocket_relay *relay)
{
    struct scene *scene = scene_of(relay);
    scene->has_ended = true;
    fiber_wake(scene->fiber);
}

static void begin(struct scene *scene, const struct websocket_limits *limits)
{
    struct stream *client, *service;
    assert_ok(socket_pair(&client, &scene->client_peer));
    assert_ok(socket_pair(&service, &scene->service_peer));
    wire_init(&scene->client, client);
    wire_init(&scene->service, service);
    scene->fiber = fiber_current();
    scene->has_ended = false;
    websocket_relay_init(&scene->relay, &scene->client, &scene->service, false, limits);
    websocket_relay_begin(&scene->relay, ended);
}

static void end(struct scene *scene)
{
    instant until = loop_now() + 10 * SECOND;
    while (!scene->has_ended)
        assert_status(fiber_wait(until), OK);
    wire_release(&scene->client);
    wire_release(&scene->service);
    stream_close(scene->client_peer);
    stream_close(scene->service_peer);
}

static void say(struct stream *stream, struct slice bytes)
{
    assert_ok(stream_write(stream, bytes.data, bytes.size, loop_now() + 10 * SECOND, NULL));
}

static void expect(struct stream *stream, struct slice bytes)
{
    char room[64];
    size_t have = 0, size;
    while (have < bytes.size) {
        assert_ok(
            stream_read(stream, room + have, bytes.size - have, loop_now() + 10 * SECOND, &size));
        have += size;
    }
    assert_memory_equal(room, bytes.data, bytes.size);
}

#define UNMASKED_HI "\x81\x02hi"
#define MASKED_HI   "\x81\x82\0\0\0\0hi"
#define MASKED_BYE  "\x88\x82\0\0\0\0\x03\xe8"

static uint32_t fibers(void)
{
    struct loop_counters counters;
    loop_read_counters(loop_current(), &counters);
    return (uint32_t)counters.fibers_running;
}

/* Both close, as they should. */
static void close_both(struct scene *scene)
{
    say(scene->client_peer, SLICE(MASKED_BYE));
    expect(scene->service_peer, SLICE(MASKED_BYE));
    say(scene->service_peer, SLICE("\x88\x02\x03\xe8"));
    expect(scene->client_peer, SLICE("\x88\x02\x03\xe8"));
    assert_ok(stream_shutdown(scene->client_peer));
    assert_ok(stream_shutdown(scene->service_peer));
    end(scene);
}

static void pass_messages(void *argument)
{
    struct scene scene;
    (void)argument;
    begin(&scene, &websocket_usual_limits);
    for (int i = 0; i < 3; i++) {
        say(scene.client_peer, SLICE(MASKED_HI));
        expect(scene.service_peer, SLICE(MASKED_HI));
        say(scene.service_peer, SLICE(UNMASKED_HI));
        expect(scene.client_peer, SLICE(UNMASKED_HI));
        assert_ok(fiber_sleep_until(loop_now() + 5 * MILLISECOND));
        assert_int_equal(fibers(), 1); /* this one */
    }
    close_both(&scene);
    assert_int_equal(scene.relay.code, 1000);
    assert_status(scene.relay.reason, OK);
    assert_int_equal(scene.relay.sides[WEBSOCKET_CLIENT].messages, 3);
    assert_int_equal(scene.relay.sides[WEBSOCKET_SERVICE].bytes, 3 * 4 + 4);
}

static void messages_pass_and_rest_has_no_fiber(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, pass_messages, NULL));
}

static void count_messages(void *argument)
{
    struct scene scene;
    struct websocket_limits limits = {.rate_count = 3, .rate_per = 1000 * SECOND};
    (void)argument;
    begin(&scene, &limits);
    static const char parts[] = "\x02\xfe\0\x80\0\0\0\0";
    char fragment[8 + 128] = {0};
    memcpy(fragment, parts, 8);
    for (int i = 0; i < 10; i++) { /* one message so far */
        fragment[0] = i == 0 ? 2 : 0;
        say(scene.client_peer, slice_of(fragment, sizeof fragment));
    }
    say(scene.client_peer, SLICE("\x80\x80\0\0\0\0")); /* a crumb */
    say(scene.client_peer, SLICE("\x89\x80\0\0\0\0")); /* a ping */
    say(scene.client_peer, SLICE(MASKED_HI));          /* one too many */
    expect(scene.client_peer, SLICE("\x88\x02\x03\xf0"));
    assert_ok(stream_shutdown(scene.client_peer));
    assert_ok(stream_shutdown(scene.service_peer));
    end(&scene);
    assert_status(scene.relay.reason, MESSAGES_TOO_MANY);
    assert_int_equal(scene.relay.sides[WEBSOCKET_CLIENT].messages, 1);
}

static void rates_count_messages_crumbs_and_control_frames(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, count_messages, NULL));
}

#define STREAMED ((size_t)4 << 20)

/* One frame without a reader: its writer gets stuck. */
static void send_much(void *argument)
{
    struct scene *scene = argument;
    static char zeros[64 * 1024];
    say(scene->service_peer, SLICE("\x82\x7f\0\0\0\0\0\x40\0\0"));
    for (size_t sent = 0; sent < STREAMED; sent += sizeof zeros)
        say(scene->service_peer, slice_of(zeros, sizeof zeros));
}

static void receive_much(struct stream *stream)
{
    static char room[64 * 1024];
    size_t size;
    expect(stream, SLICE("\x82\x7f\0\0\0\0\0\x40\0\0"));
    for (size_t have = 0; have < STREAMED; have += size)
        assert_ok(stream_read(stream, room, sizeof room, loop_now() + 10 * SECOND, &size));
}

static void block_one_way(void *argument)
{
    struct scene scene;
    (void)argument;
    begin(&scene, &websocket_usual_limits);
    assert_ok(scope_start(loop_scope(loop_current()), send_much, &scene));
    assert_ok(fiber_sleep_until(loop_now() + 50 * MILLISECOND));
    for (int i = 0; i < 3; i++) {
        say(scene.client_peer, SLICE(MASKED_HI));
        expect(scene.service_peer, SLICE(MASKED_HI));
    }
    receive_much(scene.client_peer);
    assert_ok(fiber_sleep_until(loop_now() + 50 * MILLISECOND));
    assert_int_equal(fibers(), 1);
    say(scene.client_peer, SLICE(MASKED_HI));
    expect(scene.service_peer, SLICE(MASKED_HI));
    close_both(&scene);
}

static void a_stuck_direction_does_not_hold_up_the_other(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, block_one_way, NULL));
}

static void drain_later(void *argument)
{
    struct scene scene;
    (void)argument;
    begin(&scene, &websocket_usual_limits);
    instant when = loop_now() + 100 * MILLISECOND;
    websocket_relay_drain(&scene.relay, when);
    websocket_relay_drain(&scene.relay, when + MINUTE); /* the sooner counts */
    expect(scene.client_peer, SLICE("\x88\x02\x03\xe9"));
    assert_in_range(clock_now() - when, 0, MINUTE / 2);
    assert_ok(stream_shutdown(scene.client_peer));
    assert_ok(stream_shutdown(scene.service_peer));
    end(&scene);
    assert_status(scene.relay.reason, SHUTTING_DOWN);
    assert_int_equal(scene.relay.code, WEBSOCKET_GOING_AWAY);
}

static void draining_closes_when_it_is_told_to(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, drain_later, NULL));
}

/* In the midst of a frame that nobody takes. */
static void cut_it(void *argument)
{
    struct scene scene;
    size_t sent;
    static char zeros[1 << 20];
    (void)argument;
    begin(&scene, &websocket_usual_limits);
    say(scene.service_peer, SLICE("\x82\x7f\0\0\0\0\0\x40\0\0"));
    assert_status(
        stream_write(scene.service_peer, zeros, sizeof zeros, loop_now() + 50 * MILLISECOND, &sent),
        TIMEOUT);
    websocket_relay_cut(&scene.relay);
    instant began = loop_now();
    end(&scene);
    assert_true(loop_now() - began < SECOND);
    assert_status(scene.relay.reason, SHUTTING_DOWN);
}

static void a_cut_waits_for_nobody(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, cut_it, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_pass_and_rest_has_no_fiber),
        cmocka_unit_test(rates_count_messages_crumbs_and_control_frames),
        cmocka_unit_test(a_stuck_direction_does_not_hold_up_the_other),
        cmocka_unit_test(draining_closes_when_it_is_told_to),
        cmocka_unit_test(a_cut_waits_for_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
