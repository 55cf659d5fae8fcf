/* Connections: reading heads and bodies off a stream, sending messages to one. */
#include "http/h1.h"

#include <stdlib.h>

#include "http/script.h"
#include "run/loop.h"
#include "support/unit.h"

static const struct h1_limits usual = H1_LIMITS_DEFAULT;

struct fixture {
    struct loop *loop;
    struct arena arena;
    struct script script;
    struct wire connection;
    struct http_request request;
    struct http_response response;
    struct h1_framing framing;
    struct h1_body body;
};

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    arena_init(&f.arena, 0, 0);
    *state = &f;
    return loop_new(NULL, &f.loop) != OK;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct loop_counters counters;
    if (f->connection.stream)
        wire_release(&f->connection);
    script_release(&f->script);
    loop_read_counters(f->loop, &counters);
    assert_int_equal(counters.buffers_lent, 0);
    loop_free(f->loop);
    arena_release(&f->arena);
    return 0;
}

static void begin(struct fixture *f, struct slice input, size_t piece)
{
    if (f->connection.stream)
        wire_release(&f->connection);
    script_release(&f->script);
    script_init(&f->script, input, piece);
    wire_init(&f->connection, &f->script.stream);
}

static enum status read_request(struct fixture *f)
{
    return h1_read_request(&f->connection, &f->arena, &usual, NEVER, &f->request, &f->framing);
}

static enum status read_response(struct fixture *f, enum http_method method)
{
    return h1_read_response(
        &f->connection, &f->arena, &usual, method, NEVER, &f->response, &f->framing);
}

static struct body *begin_body(struct fixture *f)
{
    return h1_body_init(&f->body, &f->connection, &usual, &f->framing, &f->arena, 30 * SECOND);
}

#define HOST "Host: a\r\n"

/* --- heads */

static void a_head_is_read_however_it_comes(void **state)
{
    struct fixture *f = *state;
    struct slice input = SLICE("GET /x?y HTTP/1.1\r\n" HOST "A: b\r\n\r\n");
    for (size_t piece = 0; piece < input.size; piece++) {
        begin(f, input, piece);
        assert_ok(read_request(f));
        assert_slice(f->request.path, "/x");
        assert_slice(f->request.query, "y");
        assert_slice(f->request.host, "a");
        assert_slice(fields_value_named(&f->request.fields, SLICE("a")), "b");
        assert_null(f->connection.buffer);
        assert_status(read_request(f), END);
    }
}

static void pipelined_requests_come_in_order(void **state)
{
    struct fixture *f = *state;
    begin(f,
        SLICE("GET /1 HTTP/1.1\r\n" HOST "\r\nPOST /2 HTTP/1.1\r\n" HOST
              "Content-Length: 3\r\n\r\nabc\r\nGET /3 HTTP/1.1\r\n" HOST "\r\n"),
        0);
    struct slice bytes;
    assert_ok(read_request(f));
    assert_slice(f->request.path, "/1");
    assert_true(wire_has_bytes(&f->connection));
    assert_ok(read_request(f));
    assert_slice(f->request.path, "/2");
    struct body *body = begin_body(f);
    assert_false(h1_body_is_complete(&f->body));
    assert_ok(body_read(body, NEVER, &bytes));
    assert_slice(bytes, "abc");
    assert_true(h1_body_is_complete(&f->body));
    assert_status(body_read(body, NEVER, &bytes), END);
    body_drop(body);
    assert_ok(read_request(f));
    assert_slice(f->request.path, "/3");
    assert_int_equal(f->script.reads, 1);
}

static void the_end_of_the_stream_has_two_names(void **state)
{
    struct fixture *f = *state;
    begin(f, SLICE(""), 0);
    assert_status(read_request(f), END);
    begin(f, SLICE("\r\n"), 0);
    assert_status(read_request(f), END);
    begin(f, SLICE("G"), 0);
    assert_status(read_request(f), CLOSED);
    begin(f, SLICE("GET / HTTP/1.1\r\n" HOST "\r"), 1);
    assert_status(read_request(f), CLOSED);
    begin(f, SLICE(""), 0);
    assert_status(read_response(f, METHOD_GET), END);
    begin(f, SLICE("HTTP/1.1 200 OK\r\n"), 0);
    assert_status(read_response(f, METHOD_GET), CLOSED);
}

static void a_late_head_is_the_clients_fault(void **state)
{
    struct fixture *f = *state;
    begin(f, SLICE(""), 0);
    f->script.end = TIMEOUT;
    assert_status(read_request(f), TIMEOUT);
    begin(f, SLICE("GET / HTTP/1.1\r\nHo"), 0);
    f->script.end = TIMEOUT;
    assert_status(read_request(f), REQUEST_TIMEOUT);
    begin(f, SLICE("HTTP/1.1 200 OK\r\n"), 0);
    f->script.end = TIMEOUT;
    assert_status(read_response(f, METHOD_GET), TIMEOUT);
}

static void bad_answers_have_the_upstreams_words(void **state)
{
    struct fixture *f = *state;
    static char long_line[9000];
    memset(long_line, 'x', sizeof long_line);
    memcpy(long_line, "HTTP/1.1 200 ", 13);
    begin(f, SLICE("garbage\r\n\r\n"), 0);
    assert_status(read_response(f, METHOD_GET), UPSTREAM_PROTOCOL);
    begin(
        f, SLICE("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), 0);
    assert_status(read_response(f, METHOD_GET), UPSTREAM_PROTOCOL);
    begin(f, SLICE("HTTP/1.1 204 OK\r\nContent-Length: 1\r\n\r\n"), 0);
    assert_status(read_response(f, METHOD_GET), UPSTREAM_PROTOCOL);
    begin(f, slice_of(long_line, sizeof long_line), 0);
    assert_status(read_response(f, METHOD_GET), UPSTREAM_HEAD_TOO_LARGE);
}

static void interim_answers_come_one_by_one(void **state)
{
    struct fixture *f = *state;
    begin(f,
        SLICE("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"
              "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        0);
    struct slice bytes;
    assert_ok(read_response(f, METHOD_GET));
    assert_int_equal(f->response.status, 100);
    assert_ok(read_response(f, METHOD_GET));
    assert_int_equal(f->response.status, 103);
    assert_slice(fields_value_named(&f->response.fields, SLICE("Link")), "<x>");
    assert_ok(read_response(f, METHOD_GET));
    assert_int_equal(f->response.status, 200);
    struct body *body = begin_body(f);
    assert_ok(body_read(body, NEVER, &bytes));
    assert_slice(bytes, "ok");
    body_drop(body);
}

/* A head that is larger than a small buffer, and one that arrives in drops. */
static void large_heads_find_room(void **state)
{
    struct fixture *f = *state;
    static char head[30000];
    struct text text = text_fixed(head, sizeof head);
    text_add_literal(&text, "GET / HTTP/1.1\r\n" HOST "X: ");
    while (text.size < sizeof head - 4)
        text_add_char(&text, 'x');
    text_add_literal(&text, "\r\n\r\n");
    for (size_t piece = 1; piece < 40000; piece = piece * 7 + 1) {
        begin(f, text_slice(&text), piece);
        assert_ok(read_request(f));
        assert_int_equal(fields_value_named(&f->request.fields, SLICE("X")).size, sizeof head - 32);
    }
}

static void waiting_within_a_head_holds_a_small_buffer(void **state)
{
    struct fixture *f = *state;
    begin(f, SLICE("GET / HTTP/1.1\r\n"), 0);
    f->script.end = TIMEOUT;
    assert_status(read_request(f), REQUEST_TIMEOUT);
    assert_int_equal(f->connection.buffer->capacity, BUFFER_SMALL);
}

/* --- bodies */

/* Everything that a body yields, or how it failed. */
static enum status read_all(struct fixture *f, struct body *body, struct text *text)
{
    struct slice bytes, peeked;
    enum status e;
    bool last;
    (void)f;
    for (;;) {
        peeked = body_peek(body, &last);
        e = body_read(body, NEVER, &bytes);
        if (e)
            break;
        if (peeked.size)
            assert_true(peeked.data == bytes.data && peeked.size == bytes.size);
        assert_true(bytes.size > 0);
        text_add(text, bytes);
        if (peeked.size && last)
            assert_status(body_read(body, NEVER, &bytes), END);
    }
    assert_status(body_read(body, NEVER, &bytes), e);
    return e;
}

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

/* What a response's body is, cut in every way: the same. The rest is what stays for the next
 * message. */
static void check_body(
    struct fixture *f, struct slice input, enum status verdict, const char *want, const char *rest)
{
    for (size_t piece = 0; piece < input.size; piece++) {
        begin(f, input, piece);
        assert_ok(read_response(f, METHOD_GET));
        struct body *body = begin_body(f);
        struct text text = text_growing(0);
        enum status e = read_all(f, body, &text);
        if (e != verdict || !slice_equal(text_slice(&text), slice_of_text(want)))
            fail_msg("%s '%.*s' in pieces of %zu: %.*s", status_word(e),
                SLICE_ARG(text_slice(&text)), piece, SLICE_ARG(input));
        assert_int_equal(h1_body_is_complete(&f->body), verdict == END);
        assert_int_equal(f->body.received, text.size);
        body_drop(body);
        size_t left = f->connection.end - f->connection.begin + f->script.input.size;
        if (verdict == END)
            assert_int_equal(left, strlen(rest));
        else
            assert_null(f->connection.buffer);
        text_release(&text);
    }
}

static void bodies_end_as_the_head_said(void **state)
{
    struct fixture *f = *state;
    check_body(
        f, SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP"), END, "hello", "HTTP");
    check_body(f, SLICE("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx"), END, "", "x");
    check_body(f, SLICE("HTTP/1.1 200 OK\r\n\r\nuntil the end"), END, "until the end", "");
    check_body(f, SLICE("HTTP/1.1 304 OK\r\nContent-Length: 5\r\n\r\n"), END, "", "");
    check_body(
        f, SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"), INCOMPLETE, "hell", "");
}

static void chunks_are_put_together(void **state)
{
    struct fixture *f = *state;
    check_body(f, SLICE(CHUNKED "5\r\nhello\r\n0\r\n\r\nnext"), END, "hello", "next");
    check_body(f,
        SLICE(CHUNKED "5\r\nhello\r\n01\r\n,\r\n0000000000000006\r\n world\r\n000\r\n\r\n"), END,
        "hello, world", "");
    check_body(f, SLICE(CHUNKED "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"), END,
        "01234567890123456789", "");
    check_body(f, SLICE(CHUNKED "0\r\n\r\n"), END, "", "");
    check_body(f, SLICE(CHUNKED "1;a;b=c;d=\"e;\\\"\r\";f\r\nx\r\n0\r\n\r\n"), BAD_CHUNK, "", "");
    check_body(f, SLICE(CHUNKED "1;a;b=c;d=\"e;\\\"\t\xff\";f\r\nx\r\n0;z\r\n\r\n"), END, "x", "");
    check_body(f, SLICE(CHUNKED "1\r\nx\r\n0\r\nA: b\r\n\r\nrest"), END, "x", "rest");
}

static void malformed_chunks_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const lines[] = {"", "\r\n", "g\r\n", "+1\r\n", "-1\r\n", "0x1\r\n",
        " 1\r\n", "1 \r\n", "1\t\r\n", "1\n", "1\rx", "1 ;a\r\n", "1;\r\n", "1; a\r\n", "1;a b\r\n",
        "1;a=\r\n", "1;a=\"b\r\n", "1;a=\"b\"c\r\n", "1;a=b;\r\n", "1;a\n", "1;a=b\x01\r\n",
        "1;a=\"\x01\"\r\n", "1;a=\"\\\n\"\r\n", "1;=b\r\n", "1,2\r\n", "8000000000000000\r\n",
        "10000000000000000\r\n", "fffffffffffffffff\r\n", "00000000000000001\r\n", "1\r\nxy",
        "1\r\nx\n", "1\r\nx\rz", "1\r\nx\r\n\r\n", "1\r\nx\rz0\r\n\r\n"};
    for (size_t i = 1; i < sizeof lines / sizeof *lines; i++) {
        struct text input = text_growing(0);
        text_add_literal(&input, CHUNKED);
        text_add(&input, slice_of_text(lines[i]));
        text_add_literal(&input, "xxxxxxxxxx");
        bool has_data = slice_has_prefix(slice_of_text(lines[i]), SLICE("1\r\nx"));
        check_body(f, text_slice(&input), BAD_CHUNK, has_data ? "x" : "", "");
        text_release(&input);
    }
    check_body(f, SLICE(CHUNKED "5\r\nhel"), INCOMPLETE, "hel", "");
    check_body(f, SLICE(CHUNKED "5\r\nhello\r\n"), INCOMPLETE, "hello", "");
    check_body(f, SLICE(CHUNKED "5\r\nhello\r\n0\r\nA: b\r\n"), INCOMPLETE, "hello", "");
    check_body(f, SLICE(CHUNKED "0\r\nA : b\r\n\r\n"), BAD_FIELD, "", "");
    check_body(f, SLICE(CHUNKED "0\r\n\n"), BAD_FIELD, "", "");
    check_body(f, SLICE(CHUNKED "0\r\n\rx"), BAD_FIELD, "", "");
}

static void extensions_and_trailers_have_limits(void **state)
{
    struct fixture *f = *state;
    static char extension[400];
    memset(extension, 'e', sizeof extension);
    for (size_t size = 255; size < 259; size++) {
        struct text input = text_growing(0);
        text_add_literal(&input, CHUNKED "1;");
        text_add(&input, slice_of(extension, size));
        text_add_literal(&input, "\r\nx\r\n0\r\n\r\n");
        begin(f, text_slice(&input), 0);
        assert_ok(read_response(f, METHOD_GET));
        struct text text = text_growing(0);
        enum status e = read_all(f, begin_body(f), &text);
        assert_status(e, size <= 256 ? END : BAD_CHUNK);
        body_drop(&f->body.body);
        text_release(&text);
        text_release(&input);
    }
    struct text input = text_growing(0);
    text_add_literal(&input, CHUNKED "0\r\n");
    for (int i = 0; i < 30; i++)
        text_format(&input, "T%d: %.*s\r\n", i, (int)sizeof extension, extension);
    text_add_literal(&input, "\r\n");
    check_body(f, slice_head(text_slice(&input), 9000), TOO_LARGE, "", "");
    text_release(&input);
}

static void forbidden_trailers_are_dropped(void **state)
{
    struct fixture *f = *state;
    begin(f,
        SLICE(CHUNKED "1\r\nx\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\nHost: b\r\nhost: c\r\n"
                      "Authorization: me\r\nTransfer-Encoding: chunked\r\nX-End: \r\n\r\n"),
        3);
    struct text text = text_growing(0);
    assert_ok(read_response(f, METHOD_GET));
    struct body *body = begin_body(f);
    assert_null(body->trailers);
    assert_status(read_all(f, body, &text), END);
    assert_slice(fields_value_named(body->trailers, SLICE("x-sum")), "7");
    assert_slice(fields_value_named(body->trailers, SLICE("x-end")), "");
    assert_false(fields_has(body->trailers, FIELD_CONTENT_LENGTH));
    assert_false(fields_has(body->trailers, FIELD_HOST));
    assert_false(fields_has(body->trailers, FIELD_AUTHORIZATION));
    assert_null(fields_value_named(body->trailers, SLICE("transfer-encoding")).data);
    body_drop(body);
    text_release(&text);
}

static void a_body_without_trailers_has_none(void **state)
{
    struct fixture *f = *state;
    struct text text = text_growing(0);
    begin(f, SLICE(CHUNKED "0\r\n\r\n"), 0);
    assert_ok(read_response(f, METHOD_GET));
    struct body *body = begin_body(f);
    assert_status(read_all(f, body, &text), END);
    assert_null(body->trailers);
    body_drop(body);
    text_release(&text);
}

/* Small chunks that are here come as one piece: as many bytes a call as there are. */
static void chunks_that_are_here_come_together(void **state)
{
    struct fixture *f = *state;
    begin(f, SLICE(CHUNKED "1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n"), 0);
    bool last = false;
    struct slice bytes;
    assert_ok(read_response(f, METHOD_GET));
    struct body *body = begin_body(f);
    assert_slice(body_peek(body, &last), "abcdef");
    assert_true(last);
    assert_ok(body_read(body, NEVER, &bytes));
    assert_slice(bytes, "abcdef");
    body_drop(body);
}

/* Moving a large one would cost more than a system call. The chunk before it is longer than what is
 * read with a head, so that its end and the large one arrive in one read. */
static void a_large_chunk_stays_where_it_is(void **state)
{
    struct fixture *f = *state;
    struct text input = text_growing(0);
    struct slice bytes;
    size_t first = 0;
    text_add_literal(&input, CHUNKED "2400\r\n");
    for (int i = 0; i < 0x2400; i++)
        text_add_char(&input, 'a');
    text_add_literal(&input, "\r\n8001\r\n");
    for (int i = 0; i < 0x8001; i++)
        text_add_char(&input, 'x');
    text_add_literal(&input, "\r\n0\r\n\r\n");
    begin(f, text_slice(&input), 0);
    assert_ok(read_response(f, METHOD_GET));
    struct body *body = begin_body(f);
    for (; first < 0x2400; first += bytes.size)
        assert_ok(body_read(body, NEVER, &bytes));
    assert_int_equal(first, 0x2400);
    assert_ok(body_read(body, NEVER, &bytes));
    assert_int_equal(bytes.size, 0x8001);
    assert_status(body_read(body, NEVER, &bytes), END);
    body_drop(body);
    text_release(&input);
}

static void a_long_body_takes_large_reads(void **state)
{
    struct fixture *f = *state;
    size_t size = 1 << 20, total = 0;
    char *data = malloc(size + 100);
    struct text text = text_fixed(data, size + 100);
    text_format(&text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
    memset(data + text.size, 'd', size);
    begin(f, slice_of(data, text.size + size), 0);
    assert_ok(read_response(f, METHOD_GET));
    struct body *body = begin_body(f);
    struct slice bytes;
    while (body_read(body, NEVER, &bytes) == OK)
        total += bytes.size;
    assert_int_equal(total, size);
    assert_in_range(f->script.reads, 4, 5);
    body_drop(body);
    free(data);
}

static void note_call(void *argument)
{
    ++*(unsigned *)argument;
}

/* How often the client is asked for a body that comes in such pieces behind the head. */
static unsigned count_calls(struct fixture *f, struct slice input, size_t piece)
{
    unsigned calls = 0;
    struct text text = text_growing(0);
    begin(f, input, piece);
    assert_ok(read_request(f));
    assert_true(f->framing.expects_continue);
    struct body *body = begin_body(f);
    f->body.before_wait = note_call;
    f->body.before_wait_argument = &calls;
    assert_status(read_all(f, body, &text), END);
    assert_slice(text_slice(&text), "abcd");
    body_drop(body);
    text_release(&text);
    return calls;
}

static void the_client_is_asked_once_and_only_if_it_waits(void **state)
{
    struct fixture *f = *state;
#define EXPECT HOST "Expect: 100-continue\r\n"
    struct slice head = SLICE("POST / HTTP/1.1\r\n" EXPECT "Content-Length: 4\r\n\r\n");
    struct slice post = SLICE("POST / HTTP/1.1\r\n" EXPECT "Content-Length: 4\r\n\r\nabcd");
    struct slice chunked = SLICE("POST / HTTP/1.1\r\n" EXPECT "Transfer-Encoding: chunked\r\n\r\n"
                                 "4\r\nabcd\r\n0\r\n\r\n");
    assert_int_equal(count_calls(f, post, 0), 0);
    assert_int_equal(count_calls(f, post, head.size), 1);
    assert_int_equal(count_calls(f, post, head.size + 2), 0);
    assert_int_equal(count_calls(f, post, 1), 1);
    assert_int_equal(count_calls(f, chunked, 1), 1);
}

static void waiting_for_a_body_holds_no_buffer(void **state)
{
    struct fixture *f = *state;
    struct slice bytes;
    begin(f, SLICE("POST / HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabcd"), 0);
    f->script.end = TIMEOUT;
    assert_ok(read_request(f));
    struct body *body = begin_body(f);
    assert_ok(body_read(body, NEVER, &bytes));
    assert_non_null(f->connection.buffer);
    assert_status(body_read(body, NEVER, &bytes), TIMEOUT);
    assert_null(f->connection.buffer);
    body_drop(body);
}

/* The connection breaks after bytes that were read ahead: all of them count, then it is said.
 */
static void a_break_behind_the_first_bytes_is_not_forgotten(void **state)
{
    struct fixture *f = *state;
    struct text input = text_growing(0);
    struct slice bytes;
    text_add_literal(&input, "HTTP/1.1 200 OK\r\n\r\n");
    for (int i = 0; i < 20000; i++)
        text_add_char(&input, 'x');
    for (int i = 0; i < 2; i++) {
        bool last = true;
        begin(f, text_slice(&input), 0);
        f->script.end = i ? END : CLOSED;
        assert_ok(read_response(f, METHOD_GET));
        struct body *body = begin_body(f);
        assert_int_equal(body_peek(body, &last).size, 20000);
        assert_false(last);
        assert_ok(body_read(body, NEVER, &bytes));
        assert_int_equal(bytes.size, 20000);
        assert_status(body_read(body, NEVER, &bytes), f->script.end);
        body_drop(body);
    }
    text_release(&input);
}

/* A request's body that is here as a whole can be sent at once, and once more. */
static void more_of_a_request_is_read_at_once(void **state)
{
    struct fixture *f = *state;
    struct text input = text_growing(0);
    bool last = false;
    text_add_literal(&input, "POST / HTTP/1.1\r\n" HOST "Content-Length: 60000\r\n\r\n");
    for (int i = 0; i < 60000; i++)
        text_add_char(&input, 'x');
    begin(f, text_slice(&input), 0);
    assert_ok(read_request(f));
    struct body *body = begin_body(f);
    assert_int_equal(body_peek(body, &last).size, 60000);
    assert_true(last);
    assert_int_equal(f->script.reads, 1);
    body_drop(body);
    text_release(&input);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_head_is_read_however_it_comes),
        TEST(pipelined_requests_come_in_order),
        TEST(the_end_of_the_stream_has_two_names),
        TEST(a_late_head_is_the_clients_fault),
        TEST(bad_answers_have_the_upstreams_words),
        TEST(interim_answers_come_one_by_one),
        TEST(large_heads_find_room),
        TEST(waiting_within_a_head_holds_a_small_buffer),
        TEST(bodies_end_as_the_head_said),
        TEST(chunks_are_put_together),
        TEST(malformed_chunks_are_refused),
        TEST(extensions_and_trailers_have_limits),
        TEST(forbidden_trailers_are_dropped),
        TEST(a_body_without_trailers_has_none),
        TEST(chunks_that_are_here_come_together),
        TEST(a_large_chunk_stays_where_it_is),
        TEST(a_break_behind_the_first_bytes_is_not_forgotten),
        TEST(more_of_a_request_is_read_at_once),
        TEST(a_long_body_takes_large_reads),
        TEST(the_client_is_asked_once_and_only_if_it_waits),
        TEST(waiting_for_a_body_holds_no_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
