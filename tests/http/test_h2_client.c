/* The client side of HTTP/2, with a peer that says frames by hand. */
#include "http/h2_client_scene.h"

/* --- answers */

static void an_answer(struct scene *scene)
{
    char room[100];
    ask(scene, false);
    SAY(scene, NGHTTP2_HEADERS, END_HEADS, 1,
        STATUS_200 "\x0f\x0d\x01"
                   "5"
                   "\x00\x03x-a\x01"
                   "b");
    SAY(scene, NGHTTP2_DATA, 0, 1, "he");
    SAY(scene, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "llo");
    assert_ok(read_head(scene));
    assert_int_equal(scene->response.status, 200);
    assert_int_equal(scene->response.version, HTTP_2);
    assert_slice(fields_value_named(&scene->response.fields, SLICE("x-a")), "b");
    assert_int_equal(scene->framing.kind, H1_LENGTH);
    assert_int_equal(scene->framing.length, 5);
    assert_status(read_body(scene, room), END);
    assert_string_equal(room, "hello");
    end_scene(scene);
}

static void interim_heads_and_trailers(struct scene *scene)
{
    char room[100];
    ask(scene, false);
    SAY(scene, NGHTTP2_HEADERS, END_HEADS, 1,
        "\x08\x03"
        "103");
    SAY(scene, NGHTTP2_HEADERS, END_HEADS, 1, STATUS_200);
    SAY(scene, NGHTTP2_DATA, 0, 1, "x");
    SAY(scene, NGHTTP2_HEADERS, END_ALL, 1,
        "\x00\x05x-sum\x01"
        "7");
    assert_ok(read_head(scene));
    assert_int_equal(scene->response.status, 103);
    assert_ok(read_head(scene));
    assert_int_equal(scene->response.status, 200);
    assert_status(read_body(scene, room), END);
    assert_string_equal(room, "x");
    assert_slice(fields_value_named(scene->call.body.trailers, SLICE("x-sum")), "7");
    end_scene(scene);
}

/* What is not read keeps the peer from sending more (RFC 9113 §5.2). */
static void the_window_opens_as_it_is_read(struct scene *scene)
{
    static char room[2 * WINDOW], bytes[WINDOW];
    ask(scene, false);
    SAY(scene, NGHTTP2_HEADERS, END_HEADS, 1, STATUS_200);
    say_frame(scene, NGHTTP2_DATA, 0, 1, bytes, WINDOW);
    assert_ok(read_head(scene));
    SAY(scene, NGHTTP2_PING, 0, 0, "12345678");
    do {
        hear_frame(scene);
        assert_false(frame.type == NGHTTP2_WINDOW_UPDATE && frame.stream == 1);
    } while (frame.type != NGHTTP2_PING);
    struct body *body = h2_call_body(&scene->call, PATIENCE);
    struct slice part;
    assert_ok(body_read(body, loop_now() + PATIENCE, &part));
    assert_int_equal(part.size, WINDOW);
    do
        hear(scene, NGHTTP2_WINDOW_UPDATE);
    while (frame.stream != 1);
    assert_int_equal(first_number(), WINDOW);
    say_frame(scene, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, bytes, WINDOW);
    assert_status(read_body(scene, room), END);
    end_scene(scene);
}

static void more_than_the_window(struct scene *scene)
{
    static char bytes[WINDOW + 2];
    ask(scene, false);
    SAY(scene, NGHTTP2_HEADERS, END_HEADS, 1, STATUS_200);
    say_frame(scene, NGHTTP2_DATA, 0, 1, bytes, WINDOW + 1);
    assert_ok(read_head(scene));
    assert_status(read_body(scene, bytes), UPSTREAM_PROTOCOL);
    end_scene(scene);
}

/* --- answers that are none */

/* A head, and what reading it says. */
static void expect_refusal(const char *block, size_t size, uint8_t flags)
{
    struct scene scene = {0};
    ask(&scene, false);
    say_frame(&scene, NGHTTP2_HEADERS, flags, 1, block, size);
    assert_status(read_head(&scene), UPSTREAM_PROTOCOL);
    assert_false(h2_call_is_unseen(&scene.call));
    end_scene(&scene);
}

static void malformed_heads(struct scene *unused)
{
    static const struct slice heads[] = {
        SLICE_INIT("\x00\x03x-a\x01"
                   "b"),                   /* no status */
        SLICE_INIT(STATUS_200 STATUS_200), /* two */
        SLICE_INIT("\x00\x03x-a\x01"
                   "b" STATUS_200), /* late */
        SLICE_INIT("\x08\x02"
                   "20"), /* of two digits */
        SLICE_INIT(STATUS_200 "\x00\x03X-A\x01"
                              "b"), /* a capital */
        SLICE_INIT(STATUS_200 "\x00\x03x-a\x03"
                              "b\r\n"), /* a line's end */
        SLICE_INIT(STATUS_200 "\x00\x0a"
                              "connection\x01"
                              "x"), /* of one connection */
        SLICE_INIT(STATUS_200 "\x0f\x0d\x01"
                              "x"),         /* a length of letters */
        SLICE_INIT(STATUS_200 "\x04\x01/"), /* a request's */
    };
    (void)unused;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        expect_refusal(heads[i].data, heads[i].size, END_HEADS);
    expect_refusal(STATUS_200 "\x0f\x0d\x01"
                              "5",
        5, END_ALL);
}

static void a_length_that_lies(struct scene *scene)
{
    char room[100];
    ask(scene, false);
    SAY(scene, NGHTTP2_HEADERS, END_HEADS, 1,
        STATUS_200 "\x0f\x0d\x01"
                   "5");
    SAY(scene, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "hell");
    assert_ok(read_head(scene));
    assert_status(read_body(scene, room), UPSTREAM_PROTOCOL);
    end_scene(scene);
}

/* --- what the peer did not do */

static void a_refused_request_is_unseen(struct scene *scene)
{
    ask(scene, false);
    SAY(scene, NGHTTP2_RST_STREAM, 0, 1, "\0\0\0\7");
    assert_status(read_head(scene), UPSTREAM_RESET);
    assert_true(h2_call_is_unseen(&scene->call));
    assert_int_equal(scene->call.reset, NGHTTP2_REFUSED_STREAM);
    assert_int_equal(scene->resets, 1);
    assert_int_equal(scene->code, NGHTTP2_REFUSED_STREAM);
    assert_false(h2_client_is_over(scene->client));
    end_scene(scene);
}

static void a_reset_request_is_not(struct scene *scene)
{
    ask(scene, false);
    SAY(scene, NGHTTP2_RST_STREAM, 0, 1, "\0\0\0\2");
    assert_status(read_head(scene), UPSTREAM_RESET);
    assert_false(h2_call_is_unseen(&scene->call));
    assert_int_equal(scene->call.reset, NGHTTP2_INTERNAL_ERROR);
    end_scene(scene);
}

/* Stream 1 may have been processed, stream 3 was not. */
static void goodbye(struct scene *scene)
{
    struct h2_call second;
    char room[100];
    ask(scene, false);
    assert_ok(begin_call(scene, &second, false));
    SAY(scene, NGHTTP2_GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0");
    SAY(scene, NGHTTP2_HEADERS, END_HEADS, 1, STATUS_200);
    SAY(scene, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "x");
    assert_ok(read_head(scene));
    assert_status(read_body(scene, room), END);
    assert_status(
        h2_call_read_head(&second, loop_now() + PATIENCE, &scene->response, &scene->framing),
        UPSTREAM_RESET);
    assert_true(h2_call_is_unseen(&second));
    assert_int_equal(scene->goodbyes, 1);
    h2_call_end(&second);
    end_scene(scene);
}

static void nothing_begins_after_goodbye(struct scene *scene)
{
    struct h2_call second;
    ask(scene, false);
    SAY(scene, NGHTTP2_GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0");
    settle();
    assert_true(h2_client_is_over(scene->client));
    assert_int_equal(h2_client_room(scene->client), 0);
    assert_status(begin_call(scene, &second, false), CLOSED);
    assert_true(h2_call_is_unseen(&second));
    h2_call_end(&second);
    end_scene(scene);
}

static void a_connection_that_ends(struct scene *scene)
{
    char room[100];
    ask(scene, false);
    SAY(scene, NGHTTP2_HEADERS, END_HEADS, 1, STATUS_200);
    SAY(scene, NGHTTP2_DATA, 0, 1, "half");
    assert_ok(read_head(scene));
    assert_ok(stream_shutdown(scene->peer));
    assert_status(read_body(scene, room), CLOSED);
    assert_string_equal(room, "half");
    end_scene(scene);
}

/* --- room */

static void room_follows_the_peer(struct scene *scene)
{
    struct h2_call calls[3];
    begin_scene(scene, 0);
    assert_int_equal(h2_client_room(scene->client), 1);
    assert_false(h2_client_is_settled(scene->client));
    SAY(scene, NGHTTP2_SETTINGS, 0, 0, "\0\3\0\0\0\2"); /* two at a time */
    settle();
    assert_true(h2_client_is_settled(scene->client));
    assert_int_equal(h2_client_room(scene->client), 2);
    assert_ok(begin_call(scene, &calls[0], false));
    assert_ok(begin_call(scene, &calls[1], false));
    assert_int_equal(h2_client_room(scene->client), 0);
    assert_status(begin_call(scene, &calls[2], false), CLOSED);
    SAY(scene, NGHTTP2_SETTINGS, 0, 0, "\0\3\0\0\0\1"); /* fewer than there are */
    settle();
    assert_int_equal(h2_client_room(scene->client), 0);
    SAY(scene, NGHTTP2_SETTINGS, 0, 0, "\0\3\0\0\xff\xff"); /* more than we want */
    settle();
    assert_int_equal(h2_client_room(scene->client), 98);
    assert_int_equal(h2_client_load(scene->client), 2);
    unsigned changes = scene->changes;
    h2_call_end(&calls[0]);
    assert_int_equal(h2_client_room(scene->client), 99);
    assert_true(scene->changes > changes);
    h2_call_end(&calls[1]);
    h2_call_end(&calls[2]);
    end_scene(scene);
}

/* --- the request's body */

static void a_body_with_trailers(struct scene *scene)
{
    struct fields trailers;
    ask(scene, true);
    fields_init(&trailers, &scene->arena);
    assert_ok(fields_add(&trailers, FIELD_OTHER, SLICE("x-sum"), SLICE("7")));
    h2_call_offer(&scene->call, SLICE("hello"), true, &trailers);
    assert_ok(h2_call_wait_taken(&scene->call, PATIENCE, loop_now() + PATIENCE));
    hear(scene, NGHTTP2_DATA);
    assert_slice(slice_of((const char *)frame.payload, frame.size), "hello");
    assert_false(frame.flags & NGHTTP2_FLAG_END_STREAM);
    hear(scene, NGHTTP2_HEADERS);
    assert_true(frame.flags & NGHTTP2_FLAG_END_STREAM);
    end_scene(scene);
}

/* The peer's window holds the sender up, until it opens. */
static void a_window_that_is_full(struct scene *scene)
{
    static char bytes[70000];
    begin_scene(scene, 0);
    SAY(scene, NGHTTP2_SETTINGS, 0, 0, "\0\4\0\0\0\5"); /* five bytes each */
    settle();
    assert_ok(begin_call(scene, &scene->call, true));
    h2_call_offer(&scene->call, slice_of(bytes, 8), true, NULL);
    assert_status(h2_call_wait_taken(&scene->call, 20 * MILLISECOND, NEVER), TIMEOUT);
    hear(scene, NGHTTP2_DATA);
    assert_int_equal(frame.size, 5);
    h2_call_end(&scene->call);
    hear(scene, NGHTTP2_RST_STREAM);
    assert_int_equal(first_number(), NGHTTP2_CANCEL);
    end_scene(scene);
}

/* A good answer before the whole request was wanted: the rest is not sent (§8.1). */
static void an_early_answer(struct scene *scene)
{
    char room[100];
    ask(scene, true);
    SAY(scene, NGHTTP2_HEADERS, END_HEADS, 1, STATUS_200);
    SAY(scene, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "enough");
    SAY(scene, NGHTTP2_RST_STREAM, 0, 1, "\0\0\0\0");
    settle();
    h2_call_offer(&scene->call, SLICE("more"), false, NULL);
    assert_status(h2_call_wait_taken(&scene->call, PATIENCE, loop_now() + PATIENCE), CLOSED);
    assert_ok(read_head(scene));
    assert_status(read_body(scene, room), END);
    assert_string_equal(room, "enough");
    end_scene(scene);
}

/* --- signs of life */

static void a_peer_that_is_gone(struct scene *scene)
{
    begin_scene(scene, 50 * MILLISECOND);
    assert_ok(begin_call(scene, &scene->call, false));
    hear(scene, NGHTTP2_PING);
    assert_status(read_head(scene), TIMEOUT);
    end_scene(scene);
}

static void a_peer_that_is_there(struct scene *scene)
{
    begin_scene(scene, 50 * MILLISECOND);
    SAY(scene, NGHTTP2_SETTINGS, 0, 0, "");
    assert_ok(begin_call(scene, &scene->call, false));
    for (int i = 0; i < 3; i++) {
        hear(scene, NGHTTP2_PING);
        say_frame(scene, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, frame.payload, 8);
    }
    SAY(scene, NGHTTP2_HEADERS, END_ALL, 1, STATUS_200);
    assert_ok(read_head(scene));
    end_scene(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(an_answer), TEST(interim_heads_and_trailers),
        TEST(the_window_opens_as_it_is_read), TEST(more_than_the_window), TEST(malformed_heads),
        TEST(a_length_that_lies), TEST(a_refused_request_is_unseen), TEST(a_reset_request_is_not),
        TEST(goodbye), TEST(nothing_begins_after_goodbye), TEST(a_connection_that_ends),
        TEST(room_follows_the_peer), TEST(a_body_with_trailers), TEST(a_window_that_is_full),
        TEST(an_early_answer), TEST(a_peer_that_is_gone), TEST(a_peer_that_is_there)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
