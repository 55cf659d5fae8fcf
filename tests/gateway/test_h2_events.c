/* What a client of HTTP/2 may say how often, and in which order it is answered. */
#include <stdatomic.h>

#include "gateway/h2_scene.h"

#define ENHANCE_YOUR_CALM 11

static uint64_t floods(const struct scene *scene, enum h2_flood flood)
{
    return atomic_load(&scene->server.h2_floods[flood]);
}

static uint64_t all_floods(const struct scene *scene)
{
    uint64_t count = 0;
    for (int i = 0; i < H2_FLOOD_COUNT; i++)
        count += floods(scene, (enum h2_flood)i);
    return count;
}

/* --- rates: so many are fine, one more is a flood */

static void ping(struct scene *scene)
{
    say_frame(scene, PING, 0, 0, SLICE("12345678"));
}

static void ping_answer(struct scene *scene)
{
    say_frame(scene, PING, ACK, 0, SLICE("12345678"));
}

static void settings(struct scene *scene)
{
    say_frame(scene, SETTINGS, 0, 0, SLICE_NONE);
}

static void priority(struct scene *scene)
{
    say_frame(scene, PRIORITY, 0, 99, SLICE("\0\0\0\0\1"));
}

static void priority_update(struct scene *scene)
{
    say_frame(scene, 0x10, 0, 0, SLICE("\0\0\0\x63u=1"));
}

static void unknown(struct scene *scene)
{
    say_frame(scene, 0xbe, 0, 0, SLICE("whatever"));
}

static void update(struct scene *scene)
{
    say_frame(scene, WINDOW_UPDATE, 0, 0, SLICE("\0\0\0\1"));
}

static const struct rate_case {
    enum h2_flood flood;
    void (*say)(struct scene *scene);
    int64_t before; /* how many the greeting was, and what the server has said allows for */
} cases[] = {
    {H2_PINGS, ping, 0},
    {H2_SETTINGS, settings, 1},
    {H2_PRIORITIES, priority, 0},
    {H2_PRIORITIES, priority_update, 0},
    {H2_EMPTY_FRAMES, unknown, 0},
    {H2_UPDATES, update, 0},
};
static const struct rate_case *now;

static void say_as_many_as_may_be(void *argument)
{
    struct scene *scene = argument;
    for (int64_t i = now->before; i < scene->http.http2.rates[now->flood].count; i++)
        now->say(scene);
    for (int i = 0; i < 20; i++) /* never counted */
        ping_answer(scene);
    say_head(scene, 1, END_STREAM, GET_A);
    assert_string_equal(field_of(await(scene, HEADERS), ":status"), "200");
    assert_int_equal(all_floods(scene), 0);
}

static void say_more_than_may_be(void *argument)
{
    struct scene *scene = argument;
    for (int i = 0; i < 40; i++)
        now->say(scene);
    assert_int_equal(hear_goodbye(scene), ENHANCE_YOUR_CALM);
    assert_int_equal(floods(scene, now->flood), 1);
    assert_int_equal(all_floods(scene), 1);
}

static void rates_bound_each_kind(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        now = &cases[i];
        scene_play(scene_new(), say_as_many_as_may_be);
        scene_play(scene_new(), say_more_than_may_be);
    }
}

/* A window that is opened for what was sent is no flood. */
static void take_and_allow(void *argument)
{
    struct scene *scene = argument;
    for (uint32_t i = 0; i < 12; i++) {
        say_head(scene, 2 * i + 1, END_STREAM, GET_A);
        await(scene, DATA);
        update(scene);
        update(scene);
    }
    assert_int_equal(all_floods(scene), 0);
}

static void answers_allow_for_updates(void **state)
{
    (void)state;
    scene_play(scene_new(), take_and_allow);
}

static void wait_and_go_on(void *argument)
{
    struct scene *scene = argument;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++)
            ping(scene);
        (void)fiber_sleep_until(loop_now() + 250 * MILLISECOND);
    }
    say_head(scene, 1, END_STREAM, GET_A);
    await(scene, HEADERS);
    assert_int_equal(all_floods(scene), 0);
}

static void a_rate_begins_anew(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    scene->http.http2.rates[H2_PINGS].per = 200 * MILLISECOND;
    scene_play(scene, wait_and_go_on);
}

/* --- resets */

static enum status answer_late(struct scene *scene, struct exchange *x)
{
    enum status e = fiber_sleep_until(loop_now() + 10 * SECOND);
    return e ? e : answer_hello(scene, x);
}

static void begin_and_reset(struct scene *scene, uint32_t i)
{
    say_head(scene, 2 * i + 1, END_STREAM, GET_A);
    say_frame(scene, RST_STREAM, 0, 2 * i + 1, SLICE("\0\0\0\x08"));
}

/* Those that are too many are not even begun. */
static void reset_rapidly(void *argument)
{
    struct scene *scene = argument;
    for (uint32_t i = 0; i < 5; i++)
        begin_and_reset(scene, i);
    ping(scene);
    await(scene, PING);
    assert_int_equal(all_floods(scene), 0);
    assert_int_equal(scene->facts.reason, CLIENT_CLOSED);
    for (uint32_t i = 5; i < 20; i++)
        begin_and_reset(scene, i);
    assert_int_equal(hear_goodbye(scene), ENHANCE_YOUR_CALM);
    assert_int_equal(floods(scene, H2_RESETS), 1);
    assert_int_equal(scene->finished, 5);
}

static void make_it_reset(void *argument)
{
    struct scene *scene = argument;
    for (uint32_t i = 0; i < 20; i++) {
        say_head(scene, 2 * i + 1, 0, GET_A);
        say_frame(scene, WINDOW_UPDATE, 0, 2 * i + 1, SLICE("\x7f\xff\xff\xff"));
    }
    assert_int_equal(hear_goodbye(scene), ENHANCE_YOUR_CALM);
    assert_int_equal(all_floods(scene), 1);
}

static void send_what_is_malformed(void *argument)
{
    struct scene *scene = argument;
    for (uint32_t i = 0; i < 20; i++)
        say_head(scene, 2 * i + 1, END_STREAM, GET_A "Upper: case\n");
    assert_int_equal(hear_goodbye(scene), ENHANCE_YOUR_CALM);
    assert_int_equal(floods(scene, H2_RESETS), 1);
}

static void resets_count_whoever_sends_them(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    scene->answer = answer_late;
    scene_play(scene, reset_rapidly);
    scene = scene_new();
    scene->answer = answer_late;
    scene_play(scene, make_it_reset);
    scene_play(scene_new(), send_what_is_malformed);
}

static void begin_too_many(void *argument)
{
    struct scene *scene = argument;
    for (uint32_t i = 0; i < 3; i++)
        say_head(scene, 2 * i + 1, END_STREAM, GET_A);
    struct frame *frame = await(scene, RST_STREAM);
    assert_int_equal(frame->stream, 5);
    assert_int_equal(number_at(frame, 0), 7); /* REFUSED_STREAM */
}

static void streams_are_bounded(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    scene->answer = answer_late;
    scene->http.http2.streams_max = 2;
    scene_play(scene, begin_too_many);
}

/* --- heads */

static void say_large_heads(void *argument)
{
    struct scene *scene = argument;
    char lines[8192] = GET_A;
    for (size_t at = strlen(lines); at < 3800; at = strlen(lines))
        snprintf(lines + at, sizeof lines - at, "x: %0100d\n", 1);
    for (uint32_t i = 0; i < 5; i++) {
        say_head(scene, 2 * i + 1, END_STREAM, lines);
        assert_string_equal(field_of(await(scene, HEADERS), ":status"), "431");
    }
    say_head(scene, 11, END_STREAM, lines);
    assert_int_equal(hear_goodbye(scene), ENHANCE_YOUR_CALM);
    assert_int_equal(floods(scene, H2_LARGE_HEADS), 1);
}

/* Nothing of it is answered. */
static void say_a_head_beyond_all_bounds(void *argument)
{
    struct scene *scene = argument;
    char lines[8192] = GET_A;
    for (int i = 0; i < 50; i++)
        strcat(lines, "x: y\n");
    scene->http.http2.decoded_max = 50 * 34;
    say_head(scene, 1, END_STREAM, lines);
    assert_int_equal(hear_goodbye(scene), ENHANCE_YOUR_CALM);
    assert_int_equal(floods(scene, H2_LARGE_HEADS), 1);
    assert_int_equal(scene->finished, 0);
}

static void say_head_in_very_many_parts(void *argument)
{
    struct scene *scene = argument;
    say_frame(scene, HEADERS, END_STREAM, 1, SLICE("\0\1x\1y"));
    for (int i = 0; i < 20; i++)
        say_frame(scene, 9, 0, 1, SLICE("\0\1x\1y"));
    assert_int_equal(hear_goodbye(scene), ENHANCE_YOUR_CALM);
    assert_int_equal(floods(scene, H2_CONTINUATIONS), 1);
}

static void say_half_a_head(void *argument)
{
    struct scene *scene = argument;
    say_frame(scene, HEADERS, END_STREAM, 1, SLICE("\0\1x\1y"));
    assert_int_equal(hear_goodbye(scene), ENHANCE_YOUR_CALM);
    assert_int_equal(floods(scene, H2_SLOW_HEADS), 1);
    assert_int_equal(scene->finished, 0);
}

static void heads_are_bounded(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    scene->rules.limits.head = 1000;
    scene_play(scene, say_large_heads);
    scene_play(scene_new(), say_a_head_beyond_all_bounds);
    scene_play(scene_new(), say_head_in_very_many_parts);
    scene = scene_new();
    scene->http.head_timeout = 100 * MILLISECOND;
    scene_play(scene, say_half_a_head);
}

/* --- what is not taken */

static void take_nothing(void *argument)
{
    struct scene *scene = argument;
    say_frame(scene, SETTINGS, 0, 0, SLICE("\0\4\0\0\0\0")); /* windows of nothing */
    for (uint32_t i = 0; i < 6; i++)
        say_head(scene, 2 * i + 1, END_STREAM, GET_A);
    assert_int_equal(hear_goodbye(scene), ENHANCE_YOUR_CALM);
    assert_int_equal(floods(scene, H2_STALLS), 1);
    assert_int_equal(scene->facts.reason, CLIENT_CLOSED);
}

static void stalls_are_bounded(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    scene->http.body_timeout = 100 * MILLISECOND;
    scene_play(scene, take_nothing);
}

/* --- priorities */

static enum status answer_large(struct scene *scene, struct exchange *x)
{
    static char body[20000];
    (void)scene;
    return exchange_respond(x, 200, SLICE_NONE, slice_of(body, sizeof body));
}

static void ask_for(struct scene *scene, uint32_t stream, const char *how)
{
    char lines[512];
    snprintf(lines, sizeof lines, GET_A "%s", how);
    say_head(scene, stream, END_STREAM, lines);
}

static void ask_by_urgency(void *argument)
{
    struct scene *scene = argument;
    static const struct {
        uint32_t stream;
        const char *priority;
    } asked[] = {{9, "priority: u=6\n"}, {11, ""}, {13, "priority: u=0\n"},
        {15, "priority: u=99\n"}, {17, "priority: u=5, i\n"}};
    static const uint32_t order[] = {13, 11, 15, 17, 9};
    uint32_t ends = 0, heads = 0;
    for (uint32_t stream = 1; stream < 9; stream += 2) /* these use the window up */
        ask_for(scene, stream, "priority: u=7\n");
    for (uint32_t size = 0; size < 65535;)
        size += await(scene, DATA)->size;
    for (size_t i = 0; i < 5; i++)
        ask_for(scene, asked[i].stream, asked[i].priority);
    while (heads < 5)
        heads += await(scene, HEADERS)->stream >= 9;
    say_frame(scene, WINDOW_UPDATE, 0, 0, SLICE("\0\x10\0\0"));
    while (ends < 5) {
        struct frame *frame = await(scene, DATA);
        if (!(frame->flags & END_STREAM) || frame->stream < 9)
            continue;
        assert_int_equal(frame->stream, order[ends]);
        ends++;
    }
}

static void the_most_urgent_goes_first(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    scene->answer = answer_large;
    scene_play(scene, ask_by_urgency);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_bound_each_kind),
        cmocka_unit_test(answers_allow_for_updates),
        cmocka_unit_test(a_rate_begins_anew),
        cmocka_unit_test(resets_count_whoever_sends_them),
        cmocka_unit_test(streams_are_bounded),
        cmocka_unit_test(heads_are_bounded),
        cmocka_unit_test(stalls_are_bounded),
        cmocka_unit_test(the_most_urgent_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
