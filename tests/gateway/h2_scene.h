/* A server and a client of HTTP/2 on one loop, for tests: the client says frames as they are told,
 * and looks at those that come. */
#pragma once

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "gateway/server.h"
#include "run/loop.h"
#include "run/socket.h"
#include "support/unit.h"

#define PREFACE         "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define PATIENCE        (20 * SECOND)
#define H2_FRAME_FIELDS 32

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

struct frame {
    uint8_t type, flags;
    uint32_t stream, size;
    char payload[20000];
    unsigned count; /* of a head's fields; they lie in the payload's memory of the scene */
    struct {
        char name[64], value[256];
    } fields[H2_FRAME_FIELDS];
};

struct scene {
    struct server server; /* first */
    struct entrance entrance;
    struct http_options http;
    struct server_rules rules;
    enum status (*answer)(struct scene *scene, struct exchange *x); /* on the exchange's fiber */
    fiber_function *play;
    struct stream *client;
    nghttp2_hd_inflater *inflater;
    struct frame frame;          /* that came last */
    struct exchange_facts facts; /* of the exchange that ended last */
    char asked[512];             /* what the answer noted of the request */
    unsigned finished, abandoned, closed;
    bool is_done;
};

static inline struct scene *scene_of(struct server *server)
{
    return (struct scene *)server;
}

static inline const struct server_rules *scene_rules(struct server *server)
{
    return &scene_of(server)->rules;
}

static inline const struct server_rules *scene_begin(struct server *server, struct exchange *x)
{
    (void)x;
    return &scene_of(server)->rules;
}

static inline enum status scene_serve(struct server *server, struct exchange *x)
{
    return scene_of(server)->answer(scene_of(server), x);
}

static inline void scene_finish(struct server *server, struct exchange *x)
{
    scene_of(server)->facts = x->facts;
    scene_of(server)->finished++;
}

static inline void scene_abandon(struct server *server, struct exchange *x)
{
    (void)x;
    scene_of(server)->abandoned++;
}

static inline void scene_closed(struct server *server)
{
    scene_of(server)->closed++;
}

/* --- the client */

static inline void say(struct scene *scene, struct slice bytes)
{
    assert_ok(stream_write(scene->client, bytes.data, bytes.size, loop_now() + PATIENCE, NULL));
}

static inline void say_frame(
    struct scene *scene, uint8_t type, uint8_t flags, uint32_t stream, struct slice payload)
{
    char head[9] = {(char)(payload.size >> 16), (char)(payload.size >> 8), (char)payload.size,
        (char)type, (char)flags, (char)(stream >> 24), (char)(stream >> 16), (char)(stream >> 8),
        (char)stream};
    say(scene, slice_of(head, sizeof head));
    if (payload.size)
        say(scene, payload);
}

/* "name: value" lines, each a literal field that enters no table (RFC 7541 §6.2.2). */
static inline struct slice block_of(const char *lines, char *room)
{
    size_t size = 0;
    while (*lines) {
        const char *end = strchr(lines, '\n'), *colon = strstr(lines + 1, ": ");
        size_t name = (size_t)(colon - lines), value = (size_t)(end - colon) - 2;
        assert_true(name < 127 && value < 127);
        room[size++] = 0;
        room[size++] = (char)name;
        memcpy(room + size, lines, name);
        size += name;
        room[size++] = (char)value;
        memcpy(room + size, colon + 2, value);
        size += value;
        lines = end + 1;
    }
    return slice_of(room, size);
}

static inline void say_head(struct scene *scene, uint32_t stream, uint8_t flags, const char *lines)
{
    char room[4096];
    say_frame(scene, HEADERS, END_HEADERS | flags, stream, block_of(lines, room));
}

#define GET_A ":method: GET\n:scheme: http\n:path: /a\n:authority: a.example\n"

static inline enum status read_exactly(struct scene *scene, char *data, size_t size)
{
    enum status e = OK;
    for (size_t have = 0, part; !e && have < size; have += part)
        e = stream_read(scene->client, data + have, size - have, loop_now() + PATIENCE, &part);
    return e;
}

static inline void inflate(struct scene *scene)
{
    struct frame *frame = &scene->frame;
    const uint8_t *data = (const uint8_t *)frame->payload;
    size_t left = frame->size;
    int flags = 0;
    while (!(flags & NGHTTP2_HD_INFLATE_FINAL)) {
        nghttp2_nv field;
        ssize_t used = nghttp2_hd_inflate_hd2(scene->inflater, &field, &flags, data, left, 1);
        assert_true(used >= 0);
        data += used;
        left -= (size_t)used;
        if (!(flags & NGHTTP2_HD_INFLATE_EMIT))
            continue;
        assert_true(frame->count < H2_FRAME_FIELDS);
        snprintf(frame->fields[frame->count].name, 64, "%.*s", (int)field.namelen, field.name);
        snprintf(
            frame->fields[frame->count++].value, 256, "%.*s", (int)field.valuelen, field.value);
    }
    nghttp2_hd_inflate_end_headers(scene->inflater);
}

/* The next frame; false at the end of the connection. */
static inline bool hear(struct scene *scene)
{
    struct frame *frame = &scene->frame;
    unsigned char head[9];
    enum status e = read_exactly(scene, (char *)head, sizeof head);
    if (e == END || e == CLOSED)
        return false;
    assert_ok(e);
    *frame = (struct frame){.type = head[3], .flags = head[4]};
    frame->size = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
    frame->stream =
        (uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8];
    assert_true(frame->size < sizeof frame->payload);
    assert_ok(read_exactly(scene, frame->payload, frame->size));
    if (frame->type == HEADERS)
        inflate(scene);
    return true;
}

/* The next frame of that type. */
static inline struct frame *await(struct scene *scene, uint8_t type)
{
    do
        assert_true(hear(scene));
    while (scene->frame.type != type);
    return &scene->frame;
}

static inline const char *field_of(const struct frame *frame, const char *name)
{
    for (unsigned i = 0; i < frame->count; i++)
        if (strcmp(frame->fields[i].name, name) == 0)
            return frame->fields[i].value;
    return "";
}

static inline uint32_t number_at(const struct frame *frame, size_t at)
{
    const unsigned char *data = (const unsigned char *)frame->payload + at;
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

/* The code of the last GOAWAY before the connection ends. */
static inline uint32_t hear_goodbye(struct scene *scene)
{
    uint32_t code = UINT32_MAX;
    while (hear(scene))
        if (scene->frame.type == GOAWAY)
            code = number_at(&scene->frame, 4);
    return code;
}

static inline void greet(struct scene *scene)
{
    say(scene, SLICE(PREFACE));
    say_frame(scene, SETTINGS, 0, 0, SLICE_NONE);
}

/* --- the whole */

static inline enum status answer_hello(struct scene *scene, struct exchange *x)
{
    (void)scene;
    return exchange_respond(x, 200, SLICE("text/plain"), SLICE("hello"));
}

static inline void play_scene(void *argument)
{
    struct scene *scene = argument;
    int pair[2];
    struct address nobody = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    nobody.any.sa_family = AF_UNIX;
    assert_ok(socket_adopt(pair[0], &nobody, &scene->client));
    server_accept(&scene->server, pair[1], &nobody, &scene->entrance);
    greet(scene);
    scene->play(scene);
    stream_close(scene->client);
    for (int i = 0; i < 2000 && scene->server.connection_count; i++)
        (void)fiber_sleep_until(loop_now() + 10 * MILLISECOND);
    assert_int_equal(scene->server.connection_count, 0);
    assert_int_equal(scene->server.exchange_count, 0);
    scene->is_done = true;
}

/* A scene with the usual bounds, to be changed before it is played. */
static inline struct scene *scene_new(void)
{
    static const struct server_ops ops = {.begin = scene_begin,
        .serve = scene_serve,
        .finish = scene_finish,
        .abandon = scene_abandon,
        .closed = scene_closed,
        .rules = scene_rules};
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    server_init(&scene->server, &ops, 0);
    scene->entrance = (struct entrance){.name = SLICE("scene"), .http2 = true};
    scene->http = (struct http_options){.head_timeout = 10 * SECOND,
        .body_timeout = 10 * SECOND,
        .keep_alive = 60 * SECOND,
        .line_max = 8192,
        .head_max = 4096,
        .fields_max = 32,
        .trailers_max = 1024,
        .http2 = {.streams_max = 16,
            .stream_window = 65535,
            .connection_window = 65535,
            .continuations_max = 8,
            .decoded_max = 65536}};
    for (size_t i = 0; i < H2_RATES; i++)
        scene->http.http2.rates[i] = (struct rate){.count = 5, .per = 60 * SECOND};
    scene->rules = (struct server_rules){
        .http = &scene->http, .limits = H1_LIMITS_DEFAULT, .trusted = &server_trusts_nobody};
    scene->rules.limits.head = 4096;
    scene->rules.limits.fields = 32;
    scene->answer = answer_hello;
    assert_int_equal(nghttp2_hd_inflate_new(&scene->inflater), 0);
    return scene;
}

/* Plays the client on a fiber, until the server has nothing left of it; then frees the scene. */
static inline void scene_play(struct scene *scene, fiber_function *play)
{
    scene->play = play;
    assert_ok(loop_run_main(NULL, play_scene, scene));
    assert_true(scene->is_done);
    nghttp2_hd_inflate_del(scene->inflater);
    free(scene);
}
