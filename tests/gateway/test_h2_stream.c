/* One exchange on a stream of HTTP/2: what is asked and answered, and tunnels on streams. */
#include "gateway/h2_scene.h"
#include "http/h1.h"
#include "run/wire.h"

#define REST ":scheme: http\n:path: /a?b=c\n:authority: a.example\n"

/* --- requests and answers */

static enum status note_and_answer(struct scene *scene, struct exchange *x)
{
    struct text text = text_fixed(scene->asked, sizeof scene->asked - 1);
    struct slice bytes;
    enum status e;
    text_add(&text, x->request.method_text);
    text_add_char(&text, ' ');
    text_add(&text, x->request.path);
    text_add_char(&text, '?');
    text_add(&text, x->request.query);
    text_add_char(&text, ' ');
    text_add(&text, x->request.host);
    text_add_char(&text, ' ');
    text_add(&text, fields_value(&x->request.fields, FIELD_COOKIE));
    text_add_char(&text, ' ');
    while (!(e = body_read(x->request.body, x->deadline, &bytes)))
        text_add(&text, bytes);
    if (e != END)
        return e;
    e = exchange_respond(x, 201, SLICE("text/plain"), SLICE("hello"));
    return e ? e : fields_set_known(&x->response.fields, FIELD_LOCATION, SLICE("/x"));
}

static void send_and_hear(void *argument)
{
    struct scene *scene = argument;
    say_head(scene, 1, 0, ":method: POST\n" REST "cookie: a=1\ncookie: b=2\ncontent-length: 8\n");
    say_frame(scene, DATA, 0, 1, SLICE("two "));
    say_frame(scene, DATA, END_STREAM, 1, SLICE("parts"));
    struct frame *frame = await(scene, RST_STREAM); /* nine bytes are not eight */
    assert_int_equal(frame->stream, 1);
    say_head(scene, 3, 0, ":method: POST\n" REST "cookie: a=1\ncookie: b=2\ncontent-length: 9\n");
    say_frame(scene, DATA, 0, 3, SLICE("two "));
    say_frame(scene, DATA, END_STREAM, 3, SLICE("parts"));
    frame = await(scene, HEADERS);
    assert_int_equal(frame->stream, 3);
    assert_int_equal(frame->flags, END_HEADERS);
    assert_string_equal(field_of(frame, ":status"), "201");
    assert_string_equal(field_of(frame, "location"), "/x");
    assert_string_equal(field_of(frame, "content-length"), "5");
    assert_string_equal(field_of(frame, "content-type"), "text/plain");
    assert_string_equal(scene->asked, "POST /a?b=c a.example a=1; b=2 two parts");
    frame = await(scene, DATA);
    assert_memory_equal(frame->payload, "hello", 5);
    assert_int_equal(frame->flags, END_STREAM);
}

static void messages_are_translated(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    scene->answer = note_and_answer;
    scene_play(scene, send_and_hear);
}

static void ask_for_the_head(void *argument)
{
    struct scene *scene = argument;
    say_head(scene, 1, END_STREAM, ":method: HEAD\n" REST);
    struct frame *frame = await(scene, HEADERS);
    assert_int_equal(frame->flags, END_HEADERS | END_STREAM);
    assert_string_equal(field_of(frame, "content-length"), "5");
}

static void an_answer_to_head_has_no_body(void **state)
{
    (void)state;
    scene_play(scene_new(), ask_for_the_head);
}

static enum status find_no_route(struct scene *scene, struct exchange *x)
{
    (void)scene;
    (void)x;
    return NO_ROUTE;
}

static void hear_why_not(void *argument)
{
    struct scene *scene = argument;
    say_head(scene, 1, 0, ":method: POST\n" REST);
    assert_string_equal(
        field_of(await(scene, HEADERS), "content-type"), "application/problem+json");
    struct frame *frame = await(scene, RST_STREAM); /* the rest of the request nobody wants */
    assert_int_equal(number_at(frame, 0), 0);
    assert_int_equal(scene->facts.reason, NO_ROUTE);
}

static void a_failure_is_answered(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    scene->answer = find_no_route;
    scene_play(scene, hear_why_not);
}

/* --- tunnels: what is sent comes back, until the end */

struct echo {
    struct tunnel tunnel;
    struct scope scope;
    struct wire *client;
    enum status outcome; /* of reading */
    unsigned stirs;
};
static struct echo echo;

static void stirred(void *argument)
{
    ((struct echo *)argument)->stirs++;
}

/* Parks first, so that news have to find their way. */
static void wait_parked(struct stream *stream)
{
    unsigned before = echo.stirs;
    stream_park(stream, stirred, &echo);
    while (echo.stirs == before)
        assert_ok(fiber_sleep_until(loop_now() + MILLISECOND));
    stream_unpark(stream);
}

static void run_echo(void *argument)
{
    struct stream *stream = echo.client->stream;
    enum status e;
    char bytes[100];
    size_t size;
    (void)argument;
    assert_true(stream_is_quiet(stream));
    wait_parked(stream);
    assert_false(stream_is_quiet(stream));
    while (!(e = stream_read(stream, bytes, sizeof bytes, loop_now() + PATIENCE, &size)))
        if (stream_write(stream, bytes, size, loop_now() + SECOND, NULL))
            break;
    echo.outcome = e;
    echo.tunnel.ended(echo.tunnel.x);
}

static void begin_echo(struct tunnel *tunnel, struct wire *client)
{
    (void)tunnel;
    echo.client = client;
    assert_ok(scope_start(loop_scope(loop_current()), run_echo, NULL));
}

static void do_nothing(struct tunnel *tunnel)
{
    (void)tunnel;
}

static void drain_nothing(struct tunnel *tunnel, instant when)
{
    (void)tunnel;
    (void)when;
}

static enum status become_echo(struct scene *scene, struct exchange *x)
{
    static const struct tunnel_ops ops = {
        .begin = begin_echo, .drain = drain_nothing, .cut = do_nothing, .drop = do_nothing};
    (void)scene;
    assert_int_equal(x->request.method, METHOD_GET);
    assert_slice(fields_value(&x->request.fields, FIELD_UPGRADE), "websocket");
    assert_true(body_is_empty(x->request.body));
    echo = (struct echo){.tunnel.ops = &ops};
    x->tunnel = &echo.tunnel;
    return exchange_respond(x, 101, SLICE_NONE, SLICE_NONE);
}

static void open_tunnel(struct scene *scene)
{
    say_head(scene, 1, 0, ":method: CONNECT\n:protocol: websocket\n" REST);
    struct frame *frame = await(scene, HEADERS);
    assert_string_equal(field_of(frame, ":status"), "200");
    assert_int_equal(frame->flags, END_HEADERS);
}

static void talk(struct scene *scene, struct slice words)
{
    size_t have = 0;
    say_frame(scene, DATA, 0, 1, words);
    while (have < words.size) {
        struct frame *frame = await(scene, DATA);
        assert_true(have + frame->size <= words.size);
        assert_memory_equal(frame->payload, words.data + have, frame->size);
        have += frame->size;
    }
}

static void talk_and_end(void *argument)
{
    struct scene *scene = argument;
    static char large[16000];
    open_tunnel(scene);
    talk(scene, SLICE("hello"));
    memset(large, 'x', sizeof large);
    for (int i = 0; i < 20; i++) { /* beyond the first windows */
        talk(scene, slice_of(large, sizeof large));
        say_frame(scene, WINDOW_UPDATE, 0, 0, SLICE("\0\0\x3e\x80"));
        say_frame(scene, WINDOW_UPDATE, 0, 1, SLICE("\0\0\x3e\x80"));
    }
    say_frame(scene, DATA, END_STREAM, 1, SLICE_NONE);
    assert_int_equal(await(scene, DATA)->flags, END_STREAM);
    assert_int_equal(echo.outcome, END);
    assert_int_equal(scene->finished, 1);
    say_head(scene, 3, END_STREAM, ":method: CONNECT\n:protocol: other\n" REST);
    assert_string_equal(field_of(await(scene, HEADERS), ":status"), "501");
}

static void talk_and_reset(void *argument)
{
    struct scene *scene = argument;
    open_tunnel(scene);
    talk(scene, SLICE("hello"));
    say_frame(scene, RST_STREAM, 0, 1, SLICE("\0\0\0\x08"));
    say_frame(scene, PING, 0, 0, SLICE("12345678"));
    await(scene, PING);
    for (int i = 0; i < 1000 && !scene->finished; i++)
        (void)fiber_sleep_until(loop_now() + MILLISECOND);
    assert_int_equal(echo.outcome, CLOSED);
}

/* A client that opens no window: the write gives up at its deadline. */
static void talk_and_take_nothing(void *argument)
{
    struct scene *scene = argument;
    say_frame(scene, SETTINGS, 0, 0, SLICE("\0\4\0\0\0\0"));
    open_tunnel(scene);
    say_frame(scene, DATA, 0, 1, SLICE("hello"));
    for (int i = 0; i < 10000 && !scene->finished; i++)
        (void)fiber_sleep_until(loop_now() + MILLISECOND);
    assert_int_equal(scene->finished, 1);
    assert_int_equal(echo.outcome, OK);
}

static void play_tunnel(fiber_function *play)
{
    struct scene *scene = scene_new();
    scene->answer = become_echo;
    scene->http.http2.rates[H2_UPDATES].count = 100;
    scene_play(scene, play);
}

static void a_stream_can_be_a_tunnel(void **state)
{
    (void)state;
    play_tunnel(talk_and_end);
    play_tunnel(talk_and_reset);
    play_tunnel(talk_and_take_nothing);
}

/* --- goodbye */

static void be_asked_to_go(void *argument)
{
    struct scene *scene = argument;
    say_head(scene, 1, END_STREAM, GET_A);
    await(scene, DATA);
    server_leave(&scene->server, &scene->entrance);
    struct frame *frame = await(scene, GOAWAY);
    assert_int_equal(number_at(frame, 0), 0x7fffffff);
    frame = await(scene, PING);
    char word[8];
    memcpy(word, frame->payload, 8);
    say_head(scene, 3, END_STREAM, GET_A); /* it had not heard of it yet */
    say_frame(scene, PING, ACK, 0, slice_of(word, 8));
    bool is_answered = false, is_last = false;
    while (hear(scene)) {
        is_answered = is_answered || (frame->type == DATA && frame->stream == 3);
        is_last = is_last || (frame->type == GOAWAY && number_at(frame, 0) == 3);
    }
    assert_true(is_answered && is_last);
}

static void goodbye_comes_in_two_steps(void **state)
{
    (void)state;
    scene_play(scene_new(), be_asked_to_go);
}

static void ping_in_vain(void *argument)
{
    struct scene *scene = argument;
    for (int i = 0; i < 3; i++) {
        say_frame(scene, PING, 0, 0, SLICE("12345678"));
        (void)fiber_sleep_until(loop_now() + 60 * MILLISECOND);
    }
    assert_int_equal(hear_goodbye(scene), 0);
}

static void only_requests_keep_a_connection(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    scene->http.keep_alive = 300 * MILLISECOND;
    scene_play(scene, ping_in_vain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_translated),
        cmocka_unit_test(an_answer_to_head_has_no_body),
        cmocka_unit_test(a_failure_is_answered),
        cmocka_unit_test(a_stream_can_be_a_tunnel),
        cmocka_unit_test(goodbye_comes_in_two_steps),
        cmocka_unit_test(only_requests_keep_a_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
