/* Writing heads, and sending messages to a stream. */
#include "http/h1.h"

#include <stdlib.h>

#include "http/script.h"
#include "run/loop.h"
#include "support/unit.h"

struct fixture {
    struct loop *loop;
    struct arena arena;
    struct script script;
    uint64_t sent;
    bool is_source;
};

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    arena_init(&f.arena, 0, 0);
    script_init(&f.script, SLICE_NONE, 0);
    *state = &f;
    return loop_new(NULL, &f.loop) != OK;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct loop_counters counters;
    script_release(&f->script);
    loop_read_counters(f->loop, &counters);
    assert_int_equal(counters.buffers_lent, 0);
    loop_free(f->loop);
    arena_release(&f->arena);
    return 0;
}

/* --- heads */

static void add(struct fields *fields, const char *name, const char *value)
{
    struct slice n = slice_of_text(name);
    assert_ok(fields_add(fields, field_id_of(n), n, slice_of_text(value)));
}

static struct http_request make_request(struct fixture *f, enum http_method method)
{
    struct http_request request = {.method = method,
        .method_text = http_method_name(method),
        .path = SLICE("/a"),
        .authority = SLICE("b:81")};
    fields_init(&request.fields, &f->arena);
    return request;
}

static struct slice request_head(
    struct fixture *f, const struct http_request *request, struct h1_framing framing)
{
    struct text text = text_growing(0);
    h1_write_request_head(&text, request, &framing);
    assert_false(text.failed);
    struct slice copy = arena_copy(&f->arena, text_slice(&text));
    text_release(&text);
    return copy;
}

static struct slice response_head(struct fixture *f, const struct http_response *response,
    enum http_version client, struct h1_framing framing)
{
    struct text text = text_growing(0);
    h1_write_response_head(&text, response, client, &framing);
    assert_false(text.failed);
    struct slice copy = arena_copy(&f->arena, text_slice(&text));
    text_release(&text);
    return copy;
}

static void requests_are_framed_by_the_writer_alone(void **state)
{
    struct fixture *f = *state;
    struct http_request request = make_request(f, METHOD_POST);
    add(&request.fields, "host", "other");
    add(&request.fields, "Content-Length", "99");
    add(&request.fields, "x-Long-Name-Of-A-Field", "and a value that is longer than that");
    add(&request.fields, "Transfer-Encoding", "chunked");
    add(&request.fields, "gone", "x");
    add(&request.fields, "Connection", "keep-alive");
    fields_remove(&request.fields, SLICE("gone"));
    request.query = SLICE("q=1");
    assert_slice(
        request_head(f, &request, (struct h1_framing){H1_LENGTH, 1234567890123, true, false}),
        "POST /a?q=1 HTTP/1.1\r\nHost: b:81\r\n"
        "x-Long-Name-Of-A-Field: and a value that is longer than that\r\n"
        "Content-Length: 1234567890123\r\n\r\n");
    request.query = SLICE("");
    assert_slice(request_head(f, &request, (struct h1_framing){H1_CHUNKED, 0, false, false}),
        "POST /a? HTTP/1.1\r\nHost: b:81\r\n"
        "x-Long-Name-Of-A-Field: and a value that is longer than that\r\n"
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
}

static void targets_are_written_by_method(void **state)
{
    struct fixture *f = *state;
    struct http_request request = make_request(f, METHOD_CONNECT);
    struct h1_framing framing = {H1_NO_BODY, 0, true, false};
    assert_slice(request_head(f, &request, framing), "CONNECT b:81 HTTP/1.1\r\nHost: b:81\r\n\r\n");
    request = make_request(f, METHOD_OPTIONS);
    request.path = SLICE("*");
    add(&request.fields, "TE", "trailers");
    assert_slice(request_head(f, &request, framing),
        "OPTIONS * HTTP/1.1\r\nHost: b:81\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    framing.keep_alive = false;
    assert_slice(request_head(f, &request, framing),
        "OPTIONS * HTTP/1.1\r\nHost: b:81\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n");
}

static void responses_are_framed_by_the_writer_alone(void **state)
{
    struct fixture *f = *state;
    struct http_response response = {.status = 200};
    fields_init(&response.fields, &f->arena);
    add(&response.fields, "A", "b");
    add(&response.fields, "Connection", "x");
    struct h1_framing framing = {H1_LENGTH, 0, true, false};
    assert_slice(response_head(f, &response, HTTP_1_1, framing),
        "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 0\r\n\r\n");
    assert_slice(response_head(f, &response, HTTP_1_0, framing),
        "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
    framing = (struct h1_framing){H1_CHUNKED, 0, false, false};
    assert_slice(response_head(f, &response, HTTP_1_1, framing),
        "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    framing = (struct h1_framing){H1_UNTIL_CLOSE, 0, true, false};
    response.status = 799;
    assert_slice(response_head(f, &response, HTTP_1_0, framing),
        "HTTP/1.1 799 \r\nA: b\r\nConnection: close\r\n\r\n");
}

static void a_length_is_said_where_it_may_be(void **state)
{
    struct fixture *f = *state;
    struct http_response response = {.status = 304};
    struct h1_framing framing = {H1_NO_BODY, 0, true, false};
    fields_init(&response.fields, &f->arena);
    assert_slice(
        response_head(f, &response, HTTP_1_1, framing), "HTTP/1.1 304 Not Modified\r\n\r\n");
    framing.length = 3;
    assert_slice(response_head(f, &response, HTTP_1_1, framing),
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n");
    add(&response.fields, "Content-Length", "0");
    response.status = 200;
    assert_slice(response_head(f, &response, HTTP_1_1, framing),
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    response.status = 204;
    assert_slice(response_head(f, &response, HTTP_1_1, framing), "HTTP/1.1 204 No Content\r\n\r\n");
    framing.keep_alive = false;
    response.status = 103;
    assert_slice(
        response_head(f, &response, HTTP_1_0, framing), "HTTP/1.1 103 Early Hints\r\n\r\n");
}

static void pieces_of_every_size_are_copied_whole(void **state)
{
    struct fixture *f = *state;
    char value[70];
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (char)('0' + i);
    for (size_t size = 0; size <= sizeof value; size++) {
        struct http_response response = {.status = 200};
        struct h1_framing framing = {H1_LENGTH, 7, true, false};
        fields_init(&response.fields, &f->arena);
        /* Exactly as large as it must be, so that a sanitizer sees the byte behind it. */
        char *exact = malloc(size + 1);
        memcpy(exact, value, size);
        fields_add_checked(&response.fields, FIELD_OTHER, SLICE("X"), slice_of(exact, size));
        struct slice head = response_head(f, &response, HTTP_1_1, framing);
        struct slice want = arena_format(
            &f->arena, "HTTP/1.1 200 OK\r\nX: %.*s\r\nContent-Length: 7\r\n\r\n", (int)size, value);
        assert_slices(head, want);
        free(exact);
    }
}

static void a_head_without_room_fails(void **state)
{
    struct fixture *f = *state;
    struct http_response response = {.status = 200};
    struct h1_framing framing = {H1_LENGTH, 7, true, false};
    char room[20];
    struct text text = text_fixed(room, sizeof room);
    fields_init(&response.fields, &f->arena);
    h1_write_response_head(&text, &response, HTTP_1_1, &framing);
    assert_true(text.failed);
}

/* --- sending */

/* A body in parts, any of which can be known before it is asked for. */
struct parts {
    struct body body;
    const char *const *next;
    enum status end;
    bool can_peek, knows_end;
};

static enum status read_part(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct parts *parts = (struct parts *)body;
    (void)deadline;
    if (!*parts->next)
        return parts->end;
    *ret_bytes = slice_of_text(*parts->next++);
    return OK;
}

static struct slice peek_part(struct body *body, bool *ret_last)
{
    struct parts *parts = (struct parts *)body;
    *ret_last = parts->knows_end && (!parts->next[0] || !parts->next[1]);
    return parts->can_peek ? slice_of_text(*parts->next) : SLICE_NONE;
}

static struct body *parts_init(struct parts *parts, const char *const *texts, bool knows)
{
    static const struct body_ops ops = {.read = read_part, .peek = peek_part};
    *parts = (struct parts){{&ops, BODY_LENGTH_UNKNOWN, NULL}, texts, END, knows, knows};
    return &parts->body;
}

static enum status send_it(
    struct fixture *f, struct body *body, enum h1_body_kind kind, uint64_t length)
{
    struct h1_framing framing = {kind, length, true, false};
    f->script.writes = 0;
    text_clear(&f->script.output);
    return h1_send(&f->script.stream, SLICE("HEAD\r\n\r\n"), body, &framing, 0, NEVER, &f->sent,
        &f->is_source);
}

#define assert_sent(f, calls, literal)                          \
    do {                                                        \
        assert_slice(text_slice(&(f)->script.output), literal); \
        assert_int_equal((f)->script.writes, calls);            \
    } while (0)

static void head_and_body_leave_together(void **state)
{
    struct fixture *f = *state;
    struct body_slice slice;
    assert_ok(send_it(f, body_init_slice(&slice, SLICE("hello")), H1_LENGTH, 5));
    assert_sent(f, 1, "HEAD\r\n\r\nhello");
    assert_int_equal(f->script.parts, 1);
    assert_int_equal(f->sent, 5);
    assert_ok(send_it(f, body_init_slice(&slice, SLICE("hello")), H1_CHUNKED, 0));
    assert_sent(f, 1, "HEAD\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_int_equal(f->sent, 5);
    assert_ok(send_it(f, body_init_slice(&slice, SLICE("hello")), H1_UNTIL_CLOSE, 0));
    assert_sent(f, 1, "HEAD\r\n\r\nhello");
    assert_ok(send_it(f, body_init_slice(&slice, SLICE("hello")), H1_NO_BODY, 0));
    assert_sent(f, 1, "HEAD\r\n\r\n");
    assert_int_equal(f->sent, 0);
    assert_ok(send_it(f, body_init_slice(&slice, SLICE("")), H1_LENGTH, 0));
    assert_sent(f, 1, "HEAD\r\n\r\n");
    assert_ok(send_it(f, body_init_slice(&slice, SLICE("")), H1_CHUNKED, 0));
    assert_sent(f, 1, "HEAD\r\n\r\n0\r\n\r\n");
    assert_false(f->is_source);
}

static void a_large_body_is_not_copied(void **state)
{
    struct fixture *f = *state;
    struct body_slice slice;
    size_t size = 300000;
    char *data = calloc(1, size);
    assert_ok(send_it(f, body_init_slice(&slice, slice_of(data, size)), H1_LENGTH, size));
    assert_int_equal(f->script.writes, 1);
    assert_int_equal(f->script.parts, 2);
    assert_int_equal(f->script.output.size, size + 8);
    assert_int_equal(f->sent, size);
    free(data);
}

static void every_part_is_one_write(void **state)
{
    struct fixture *f = *state;
    struct parts parts;
    static const char *const texts[] = {"one", "and two", "three", NULL};
    assert_ok(send_it(f, parts_init(&parts, texts, false), H1_CHUNKED, 0));
    assert_sent(f, 5, "HEAD\r\n\r\n3\r\none\r\n7\r\nand two\r\n5\r\nthree\r\n0\r\n\r\n");
    assert_ok(send_it(f, parts_init(&parts, texts, true), H1_CHUNKED, 0));
    assert_sent(f, 3, "HEAD\r\n\r\n3\r\none\r\n7\r\nand two\r\n5\r\nthree\r\n0\r\n\r\n");
    assert_ok(send_it(f, parts_init(&parts, texts, true), H1_LENGTH, 15));
    assert_sent(f, 3, "HEAD\r\n\r\noneand twothree");
    assert_ok(send_it(f, parts_init(&parts, texts, false), H1_UNTIL_CLOSE, 0));
    assert_sent(f, 4, "HEAD\r\n\r\noneand twothree");
}

static void trailers_follow_the_last_chunk(void **state)
{
    struct fixture *f = *state;
    struct body_slice slice;
    struct fields trailers;
    fields_init(&trailers, &f->arena);
    struct body *body = body_init_slice(&slice, SLICE("x"));
    body->trailers = &trailers;
    assert_ok(send_it(f, body, H1_CHUNKED, 0));
    assert_sent(f, 1, "HEAD\r\n\r\n1\r\nx\r\n0\r\n\r\n");
    add(&trailers, "Gone", "1");
    add(&trailers, "X-Sum", "7");
    fields_remove(&trailers, SLICE("Gone"));
    body->ops->rewind(body);
    assert_ok(send_it(f, body, H1_CHUNKED, 0));
    assert_sent(f, 1, "HEAD\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 7\r\n\r\n");
    body->ops->rewind(body);
    assert_ok(send_it(f, body, H1_LENGTH, 1));
    assert_sent(f, 1, "HEAD\r\n\r\nx");
}

static void a_wrong_length_is_never_hidden(void **state)
{
    struct fixture *f = *state;
    struct parts parts;
    static const char *const texts[] = {"one", "two", NULL};
    for (int knows = 0; knows < 2; knows++) {
        assert_status(send_it(f, parts_init(&parts, texts, knows), H1_LENGTH, 7), INCOMPLETE);
        assert_true(f->is_source);
        assert_int_equal(f->sent, 6);
        assert_status(send_it(f, parts_init(&parts, texts, knows), H1_LENGTH, 5), TOO_LARGE);
        assert_true(f->is_source);
        assert_int_equal(f->sent, 3);
        parts_init(&parts, texts, knows);
        parts.end = TIMEOUT;
        parts.knows_end = false;
        assert_status(send_it(f, &parts.body, H1_CHUNKED, 0), TIMEOUT);
        assert_true(f->is_source);
        assert_false(slice_has_suffix(text_slice(&f->script.output), SLICE("0\r\n\r\n")));
    }
}

static void a_broken_stream_tells_what_it_took(void **state)
{
    struct fixture *f = *state;
    struct body_slice slice;
    static const struct {
        size_t room;
        uint64_t sent;
    } cases[] = {{0, 0}, {7, 0}, {8, 0}, {11, 0}, {12, 1}, {15, 4}, {16, 5}, {17, 5}, {22, 5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        f->script.room = cases[i].room;
        assert_status(send_it(f, body_init_slice(&slice, SLICE("hello")), H1_CHUNKED, 0), CLOSED);
        assert_false(f->is_source);
        assert_int_equal(f->sent, cases[i].sent);
    }
}

/* A slow reader that takes something within each `idle` is served to the end. */
static void slow_is_not_stuck(void **state)
{
    struct fixture *f = *state;
    struct body_slice slice;
    f->script.room = 3;
    f->script.full = TIMEOUT;
    assert_ok(send_it(f, body_init_slice(&slice, SLICE("hello")), H1_CHUNKED, 0));
    assert_slice(text_slice(&f->script.output), "HEAD\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    f->script.room = 0;
    assert_status(send_it(f, body_init_slice(&slice, SLICE("hello")), H1_CHUNKED, 0), TIMEOUT);
    assert_false(f->is_source);
}

/* What the one side writes the other reads. */
static void a_chunked_message_comes_back(void **state)
{
    struct fixture *f = *state;
    struct parts parts;
    static const char *const texts[] = {"one", "and two", "three", NULL};
    struct h1_limits limits = H1_LIMITS_DEFAULT;
    struct http_response response = {.status = 201}, back;
    struct h1_framing framing = {H1_CHUNKED, 0, true, false}, framing_back;
    fields_init(&response.fields, &f->arena);
    struct slice head = response_head(f, &response, HTTP_1_1, framing);
    assert_ok(h1_send(&f->script.stream, head, parts_init(&parts, texts, false), &framing, 0, NEVER,
        &f->sent, &f->is_source));
    struct script other;
    struct wire connection;
    struct h1_body body;
    struct slice all;
    script_init(&other, text_slice(&f->script.output), 7);
    wire_init(&connection, &other.stream);
    assert_ok(
        h1_read_response(&connection, &f->arena, &limits, METHOD_GET, NEVER, &back, &framing_back));
    assert_int_equal(back.status, 201);
    h1_body_init(&body, &connection, &limits, &framing_back, &f->arena, 0);
    assert_ok(body_read_all(&body.body, &f->arena, 100, NEVER, &all));
    assert_slice(all, "oneand twothree");
    body_drop(&body.body);
    assert_true(h1_body_is_complete(&body));
    wire_release(&connection);
    assert_true(other.is_closed);
    script_release(&other);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(requests_are_framed_by_the_writer_alone),
        TEST(targets_are_written_by_method),
        TEST(responses_are_framed_by_the_writer_alone),
        TEST(a_length_is_said_where_it_may_be),
        TEST(pieces_of_every_size_are_copied_whole),
        TEST(a_head_without_room_fails),
        TEST(head_and_body_leave_together),
        TEST(a_large_body_is_not_copied),
        TEST(every_part_is_one_write),
        TEST(trailers_follow_the_last_chunk),
        TEST(a_wrong_length_is_never_hidden),
        TEST(a_broken_stream_tells_what_it_took),
        TEST(slow_is_not_stuck),
        TEST(a_chunked_message_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
