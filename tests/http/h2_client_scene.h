/* The client side of HTTP/2 and a peer that says frames by hand, on one loop. */
#pragma once

#include "http/h2_client.h"

#include <nghttp2/nghttp2.h>

#include "run/loop.h"
#include "run/socket.h"
#include "support/unit.h"

#define PATIENCE   (5 * SECOND)
#define PREFACE    24
#define FRAME_HEAD 9
#define WINDOW     1000 /* what an answer may have that nobody has read */

static const struct h1_limits limits = H1_LIMITS_DEFAULT;

/* A connection seen from both ends. */
struct scene {
    struct h2_client *client; /* NULL once it has ended */
    struct stream *peer;
    struct arena arena;
    struct http_request request;
    struct h2_call call;
    struct http_response response;
    struct h1_framing framing;
    unsigned changes, begun, over, resets, goodbyes;
    uint32_t code; /* of the last reset or goodbye */
};

static struct frame {
    uint8_t type, flags;
    uint32_t stream, size;
    uint8_t payload[1 << 14];
} frame; /* the last that was read */

/* --- the peer */

static inline void say(struct scene *scene, const char *bytes, size_t size)
{
    assert_ok(stream_write(scene->peer, bytes, size, loop_now() + PATIENCE, NULL));
}

static inline void say_frame(struct scene *scene, uint8_t type, uint8_t flags, uint32_t stream,
    const void *payload, size_t size)
{
    char head[FRAME_HEAD] = {(char)(size >> 16), (char)(size >> 8), (char)size, (char)type,
        (char)flags, (char)(stream >> 24), (char)(stream >> 16), (char)(stream >> 8), (char)stream};
    say(scene, head, sizeof head);
    say(scene, payload, size);
}

#define SAY(scene, type, flags, stream, literal) \
    say_frame(scene, type, flags, stream, literal, sizeof(literal) - 1)
#define STATUS_200 "\x88" /* :status 200, by the static table */
#define END_HEADS  NGHTTP2_FLAG_END_HEADERS
#define END_ALL    (NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM)

static inline void hear_bytes(struct scene *scene, void *room, size_t size)
{
    for (size_t have = 0, part; have < size; have += part)
        assert_ok(stream_read(
            scene->peer, (char *)room + have, size - have, loop_now() + PATIENCE, &part));
}

static inline void hear_frame(struct scene *scene)
{
    uint8_t head[FRAME_HEAD];
    hear_bytes(scene, head, sizeof head);
    frame.size = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
    frame.type = head[3];
    frame.flags = head[4];
    frame.stream =
        (uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8];
    assert_true(frame.size <= sizeof frame.payload);
    hear_bytes(scene, frame.payload, frame.size);
}

static inline void hear(struct scene *scene, uint8_t type)
{
    do
        hear_frame(scene);
    while (frame.type != type);
}

static inline uint32_t first_number(void)
{
    return (uint32_t)frame.payload[0] << 24 | (uint32_t)frame.payload[1] << 16 |
           (uint32_t)frame.payload[2] << 8 | frame.payload[3];
}

/* --- the scene */

static inline void changed(void *owner)
{
    ((struct scene *)owner)->changes++;
}

static inline void ended(void *owner)
{
    ((struct scene *)owner)->client = NULL;
}

static inline void told(void *owner, enum h2_news news, uint32_t code)
{
    struct scene *scene = owner;
    scene->begun += news == H2_CALL_BEGUN;
    scene->over += news == H2_CALL_OVER;
    scene->resets += news == H2_CALL_RESET;
    scene->goodbyes += news == H2_GOODBYE;
    if (code)
        scene->code = code;
}

static inline void begin_scene(struct scene *scene, int64_t ping)
{
    char preface[PREFACE];
    struct stream *ours;
    struct h2_client_options options = {.requests = 100,
        .window = WINDOW,
        .ping = ping,
        .ping_timeout = ping,
        .limits = &limits,
        .scheme = SLICE("http"),
        .changed = changed,
        .told = told,
        .ended = ended,
        .owner = scene};
    assert_ok(socket_pair(&ours, &scene->peer));
    assert_ok(h2_client_new(ours, &options, &scene->client));
    arena_init(&scene->arena, 0, 0);
    scene->request = (struct http_request){.method = METHOD_GET,
        .method_text = SLICE("GET"),
        .authority = SLICE("a.example"),
        .path = SLICE("/")};
    fields_init(&scene->request.fields, &scene->arena);
    hear_bytes(scene, preface, PREFACE);
    hear(scene, NGHTTP2_SETTINGS);
}

static inline void end_scene(struct scene *scene)
{
    h2_call_end(&scene->call);
    if (scene->client)
        h2_client_close(scene->client);
    stream_close(scene->peer);
    while (scene->client)
        fiber_sleep_until(loop_now() + MILLISECOND);
    assert_int_equal(scene->begun, scene->over);
    arena_release(&scene->arena);
    struct loop_counters counters;
    loop_read_counters(loop_current(), &counters);
    assert_int_equal(counters.buffers_lent, 0);
}

static inline enum status begin_call(struct scene *scene, struct h2_call *call, bool has_body)
{
    struct h1_framing framing = {.kind = has_body ? H1_CHUNKED : H1_NO_BODY};
    return h2_call_begin(call, scene->client, &scene->arena, &scene->request, &framing, has_body);
}

/* Lets the client's fibers take in what was said. */
static inline void settle(void)
{
    for (int i = 0; i < 5; i++)
        fiber_sleep_until(loop_now() + MILLISECOND);
}

/* One request is on its way, as the peer's stream 1. */
static inline void ask(struct scene *scene, bool has_body)
{
    begin_scene(scene, 0);
    SAY(scene, NGHTTP2_SETTINGS, 0, 0, "");
    SAY(scene, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "");
    settle();
    assert_ok(begin_call(scene, &scene->call, has_body));
    hear(scene, NGHTTP2_HEADERS);
    assert_int_equal(frame.stream, 1);
}

static inline enum status read_head(struct scene *scene)
{
    return h2_call_read_head(
        &scene->call, loop_now() + PATIENCE, &scene->response, &scene->framing);
}

/* Reads the body to its end into `room`; how that came about. */
static inline enum status read_body(struct scene *scene, char *room)
{
    struct body *body = h2_call_body(&scene->call, PATIENCE);
    struct slice part;
    enum status e;
    while (!(e = body_read(body, loop_now() + PATIENCE, &part))) {
        memcpy(room, part.data, part.size);
        room += part.size;
    }
    *room = '\0';
    return e;
}

/* --- tests, each on a loop of its own */

struct play {
    void (*run)(struct scene *scene);
};

static inline void play(void *argument)
{
    struct scene scene = {0};
    ((const struct play *)argument)->run(&scene);
}

static inline void test_on_loop(void **state)
{
    assert_ok(loop_run_main(NULL, play, *state));
}

#define TEST(function)                                                                \
    {                                                                                 \
        .name = #function, .test_func = test_on_loop, .initial_state = &(struct play) \
        {                                                                             \
            function                                                                  \
        }                                                                             \
    }
