/* A request of HTTP/2 that is a tunnel, with a peer that says frames by hand. */
#include "http/h2_channel.h"

#include <nghttp2/nghttp2.h>

#include "run/loop.h"
#include "run/socket.h"
#include "support/unit.h"
#include "support/on_loop.h"

#define PATIENCE   (5 * SECOND)
#define SOON       (50 * MILLISECOND)
#define PREFACE    24
#define FRAME_HEAD 9
#define WINDOW     1000
#define STATUS_200 "\x88" /* :status 200, by the static table */
#define CONNECTS   "\0\x08\0\0\0\1"

static const struct h1_limits limits = H1_LIMITS_DEFAULT;

struct scene {
    struct h2_client *client; /* NULL once it has ended */
    struct stream *peer;
    struct arena arena;
    struct http_request request;
    struct h2_channel *channel;
    unsigned stirred;
};

static struct frame {
    uint8_t type, flags;
    uint32_t stream, size;
    uint8_t payload[1 << 14];
} frame; /* the last that was read */

static void say(struct scene *scene, uint8_t type, uint8_t flags, uint32_t stream, const void *data,
    size_t size)
{
    char head[FRAME_HEAD] = {
        0, (char)(size >> 8), (char)size, (char)type, (char)flags, 0, 0, 0, (char)stream};
    struct iovec parts[] = {{head, sizeof head}, {(void *)data, size}};
    assert_ok(stream_writev(scene->peer, parts, 2, loop_now() + PATIENCE, NULL));
}

#define SAY(scene, type, flags, stream, literal) \
    say(scene, type, flags, stream, literal, sizeof(literal) - 1)

static void hear_bytes(struct scene *scene, void *room, size_t size)
{
    for (size_t have = 0, part; have < size; have += part)
        assert_ok(stream_read(
            scene->peer, (char *)room + have, size - have, loop_now() + PATIENCE, &part));
}

/* The next frame of a kind. */
static void hear(struct scene *scene, uint8_t type)
{
    do {
        uint8_t head[FRAME_HEAD];
        hear_bytes(scene, head, sizeof head);
        frame.size = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
        frame.type = head[3];
        frame.flags = head[4];
        frame.stream = head[8];
        assert_true(frame.size <= sizeof frame.payload);
        hear_bytes(scene, frame.payload, frame.size);
    } while (frame.type != type);
}

static void ended(void *owner)
{
    ((struct scene *)owner)->client = NULL;
}

static int setup(void **state)
{
    char preface[PREFACE];
    struct scene *scene = test_calloc(1, sizeof *scene);
    struct stream *ours;
    struct h2_client_options options = {.requests = 100,
        .window = WINDOW,
        .limits = &limits,
        .scheme = SLICE("http"),
        .ended = ended,
        .owner = scene};
    assert_ok(socket_pair(&ours, &scene->peer));
    assert_ok(h2_client_new(ours, &options, &scene->client));
    arena_init(&scene->arena, 0, 0);
    scene->request = (struct http_request){.method = METHOD_GET,
        .method_text = SLICE("GET"),
        .authority = SLICE("a.example"),
        .path = SLICE("/chat")};
    fields_init(&scene->request.fields, &scene->arena);
    assert_ok(fields_add_known(&scene->request.fields, FIELD_SEC_WEBSOCKET_KEY, SLICE("secret")));
    assert_ok(fields_add_known(&scene->request.fields, FIELD_SEC_WEBSOCKET_VERSION, SLICE("13")));
    hear_bytes(scene, preface, PREFACE);
    hear(scene, NGHTTP2_SETTINGS);
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    arena_release(&scene->arena); /* and with it a channel that was not taken */
    stream_close(scene->peer);
    for (instant until = loop_now() + PATIENCE; scene->client && loop_now() < until;)
        fiber_sleep_until(loop_now() + MILLISECOND);
    assert_null(scene->client);
    struct loop_counters counters;
    loop_read_counters(loop_current(), &counters);
    assert_int_equal(counters.buffers_lent, 0);
    test_free(scene);
    return 0;
}

static void greet(struct scene *scene)
{
    SAY(scene, NGHTTP2_SETTINGS, 0, 0, CONNECTS);
    while (!h2_client_is_settled(scene->client))
        fiber_sleep_until(loop_now() + MILLISECOND);
}

static void ask(struct scene *scene)
{
    struct h1_framing framing = {.kind = H1_NO_BODY, .is_upgrade = true};
    assert_ok(h2_channel_new(&scene->arena, &scene->channel));
    assert_ok(h2_call_begin(&scene->channel->call, scene->client, &scene->channel->arena,
        &scene->request, &framing, false));
}

/* A tunnel that is open. */
static struct stream *open_channel(struct scene *scene)
{
    struct http_response response;
    struct h1_framing framing;
    greet(scene);
    ask(scene);
    SAY(scene, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, STATUS_200);
    assert_ok(h2_call_read_head(&scene->channel->call, loop_now() + PATIENCE, &response, &framing));
    assert_int_equal(response.status, 200);
    h2_channel_take(scene->channel);
    hear(scene, NGHTTP2_HEADERS);
    return scene->channel->wire.stream;
}

static void put_header(struct text *text, const nghttp2_nv *nv)
{
    text_format(text, "%.*s=%.*s ", (int)nv->namelen, nv->name, (int)nv->valuelen, nv->value);
}

static void test_what_is_asked(void **state)
{
    struct scene *scene = *state;
    assert_false(h2_client_connects(scene->client));
    greet(scene);
    assert_true(h2_client_connects(scene->client));
    ask(scene);
    hear(scene, NGHTTP2_HEADERS);
    assert_int_equal(frame.flags & NGHTTP2_FLAG_END_STREAM, 0);
    char room[400];
    struct text text = text_fixed(room, sizeof room);
    nghttp2_hd_inflater *inflater;
    assert_int_equal(nghttp2_hd_inflate_new(&inflater), 0);
    for (size_t at = 0; at < frame.size;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t size =
            nghttp2_hd_inflate_hd2(inflater, &nv, &flags, frame.payload + at, frame.size - at, 1);
        assert_true(size >= 0);
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            put_header(&text, &nv);
        at += (size_t)size;
    }
    nghttp2_hd_inflate_del(inflater);
    assert_slice(text_slice(&text),
        ":method=CONNECT :protocol=websocket :scheme=http :authority=a.example :path=/chat "
        "sec-websocket-version=13 ");
}

static void test_bytes_and_ends_both_ways(void **state)
{
    struct scene *scene = *state;
    struct stream *stream = open_channel(scene);
    char room[8];
    size_t size;
    assert_true(stream_is_quiet(stream));
    SAY(scene, NGHTTP2_DATA, 0, 1, "hello there");
    assert_ok(stream_read(stream, room, 5, loop_now() + PATIENCE, &size));
    assert_slices(slice_of(room, size), SLICE("hello"));
    assert_ok(stream_read(stream, room, sizeof room, loop_now() + PATIENCE, &size));
    assert_slices(slice_of(room, size), SLICE(" there"));
    assert_status(stream_read(stream, room, sizeof room, loop_now() + SOON, &size), TIMEOUT);
    assert_ok(stream_write(stream, "abc", 3, loop_now() + PATIENCE, NULL));
    assert_ok(stream_write(stream, "def", 3, loop_now() + PATIENCE, NULL));
    hear(scene, NGHTTP2_DATA);
    assert_slices(slice_of((char *)frame.payload, frame.size), SLICE("abc"));
    hear(scene, NGHTTP2_DATA);
    assert_int_equal(frame.flags, 0);
    assert_ok(stream_shutdown(stream));
    assert_ok(stream_shutdown(stream));
    hear(scene, NGHTTP2_DATA);
    assert_int_equal(frame.flags, NGHTTP2_FLAG_END_STREAM);
    assert_status(stream_write(stream, "x", 1, loop_now() + PATIENCE, NULL), CLOSED);
    SAY(scene, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "!");
    assert_ok(stream_read(stream, room, sizeof room, loop_now() + PATIENCE, &size));
    assert_status(stream_read(stream, room, sizeof room, loop_now() + PATIENCE, &size), END);
    instant began = clock_now();
    h2_channel_end(scene->channel);
    assert_true(clock_now() - began < SECOND / 2);
}

/* A try that waits for nothing counts what it has handed over, and no frame is lost by it. */
static void test_a_window_that_is_shut(void **state)
{
    struct scene *scene = *state;
    struct stream *stream = open_channel(scene);
    static char much[100000];
    size_t size = 0, heard = 0;
    memset(much, 'x', sizeof much);
    assert_status(stream_write(stream, much, sizeof much, loop_now() + SOON, &size), TIMEOUT);
    assert_true(size > 60000 && size < sizeof much);
    size_t more = 0;
    assert_status(stream_write(stream, much + size, 1, loop_now(), &more), TIMEOUT);
    assert_int_equal(more, 0);
    for (; heard < 65535; heard += frame.size)
        hear(scene, NGHTTP2_DATA);
    SAY(scene, NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\2\0\0");
    SAY(scene, NGHTTP2_WINDOW_UPDATE, 0, 1, "\0\2\0\0");
    assert_ok(stream_write(stream, much + size, sizeof much - size, loop_now() + PATIENCE, NULL));
    for (; heard < sizeof much; heard += frame.size)
        hear(scene, NGHTTP2_DATA);
    assert_int_equal(heard, sizeof much);
    h2_channel_free(scene->channel);
    hear(scene, NGHTTP2_RST_STREAM);
}

static void note_stir(void *argument)
{
    ((struct scene *)argument)->stirred++;
}

static void wait_for_stir(struct scene *scene, unsigned count)
{
    for (instant until = loop_now() + PATIENCE; scene->stirred < count && loop_now() < until;)
        fiber_sleep_until(loop_now() + MILLISECOND);
    assert_int_equal(scene->stirred, count);
}

static void test_parked_until_something_comes(void **state)
{
    struct scene *scene = *state;
    struct stream *stream = open_channel(scene);
    char room[8];
    size_t size;
    stream_park(stream, note_stir, scene);
    SAY(scene, NGHTTP2_DATA, 0, 1, "hello");
    wait_for_stir(scene, 1);
    stream_park(stream, note_stir, scene); /* what is there already counts too */
    wait_for_stir(scene, 2);
    assert_ok(stream_read(stream, room, sizeof room, loop_now() + PATIENCE, &size));
    stream_park(stream, note_stir, scene);
    stream_unpark(stream);
    SAY(scene, NGHTTP2_DATA, 0, 1, "again");
    assert_ok(stream_wait_readable(stream, loop_now() + PATIENCE));
    assert_int_equal(scene->stirred, 2);
    h2_channel_free(scene->channel);
}

static void test_a_reset_breaks_it(void **state)
{
    struct scene *scene = *state;
    struct stream *stream = open_channel(scene);
    char room[8];
    size_t size;
    SAY(scene, NGHTTP2_RST_STREAM, 0, 1, "\0\0\0\2");
    assert_status(stream_read(stream, room, sizeof room, loop_now() + PATIENCE, &size), CLOSED);
    assert_status(stream_write(stream, "x", 1, loop_now() + PATIENCE, NULL), CLOSED);
    assert_status(stream_shutdown(stream), CLOSED);
    h2_channel_end(scene->channel);
}

static void test_a_connection_that_ends_breaks_it(void **state)
{
    struct scene *scene = *state;
    struct stream *stream = open_channel(scene);
    char room[8];
    size_t size;
    stream_park(stream, note_stir, scene);
    assert_ok(stream_shutdown(scene->peer));
    wait_for_stir(scene, 1);
    assert_status(stream_read(stream, room, sizeof room, loop_now() + PATIENCE, &size), CLOSED);
    h2_channel_end(scene->channel);
}

/* The peer does not end its own side: it is not waited for for ever. */
static void test_a_peer_that_does_not_end(void **state)
{
    struct scene *scene = *state;
    (void)open_channel(scene);
    instant began = clock_now();
    h2_channel_end(scene->channel);
    assert_true(clock_now() - began < 3 * SECOND);
    hear(scene, NGHTTP2_DATA);
    assert_int_equal(frame.flags, NGHTTP2_FLAG_END_STREAM);
    hear(scene, NGHTTP2_RST_STREAM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run_all(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_what_is_asked),
        TEST(test_bytes_and_ends_both_ways),
        TEST(test_a_window_that_is_shut),
        TEST(test_parked_until_something_comes),
        TEST(test_a_reset_breaks_it),
        TEST(test_a_connection_that_ends_breaks_it),
        TEST(test_a_peer_that_does_not_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
