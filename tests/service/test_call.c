/* Calls of a service whose endpoints behave. */
#include "support/service_rig.h"

#include "run/loop.h"
#include "support/on_loop.h"

/* --- what goes well */

static void test_get(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    rig_service(rig, "%s", fake->text);
    rig_request(rig, "GET", "/users/7");
    rig->x.request.query = SLICE("a=b");
    assert_ok(fields_set(&rig->x.request.fields, SLICE("x-mine"), SLICE("1")));
    assert_ok(rig_call(rig));
    assert_int_equal(rig->x.response.status, 200);
    assert_int_equal(rig->x.response.body->length, 5);
    assert_slice(rig_body(rig), "hello");
    assert_string_equal(
        fake->last, "GET /users/7?a=b HTTP/1.1\r\nHost: shop.example\r\nx-mine: 1\r\n\r\n");
    assert_slice(rig->x.facts.service, "demo");
    assert_slices(rig->x.facts.endpoint, slice_of_text(fake->text));
    assert_int_equal(rig->x.facts.tries, 1);
    assert_true(rig->x.facts.upstream_time > 0);
    assert_true(rig->x.facts.service_id > 0);
}

static void test_connections_are_used_again(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    rig_service(rig, "%s", fake->text);
    for (int i = 0; i < 10; i++)
        rig_expect(rig, "hello");
    assert_int_equal(fake->connections, 1);
    assert_int_equal(fake->requests, 10);
}

static void test_whole_answer_is_there_with_the_head(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    rig_service(rig, "%s", fake->text);
    assert_ok(rig_get(rig, "/"));
    bool last = false;
    assert_slice(body_peek(rig->x.response.body, &last), "hello");
    assert_true(last);
    assert_non_null(strstr(rig_describe(rig), "\"in_flight\":1"));
    assert_slice(rig_body(rig), "hello");
    assert_non_null(strstr(rig_describe(rig), "\"in_flight\":0"));
}

static void test_post(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    rig_service(rig, "%s", fake->text);
    rig_request(rig, "POST", "/orders");
    rig_request_body(rig, "{\"a\":1}");
    assert_ok(rig_call(rig));
    assert_slice(rig_body(rig), "hello");
    assert_string_equal(fake->last,
        "POST /orders HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
    rig_request(rig, "POST", "/empty");
    assert_ok(rig_call(rig));
    assert_slice(rig_body(rig), "hello");
    assert_string_equal(
        fake->last, "POST /empty HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 0\r\n\r\n");
}

static void test_host(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    rig_service(rig, "{at: %s, host: internal.example}", fake->text);
    rig_expect(rig, "hello");
    assert_non_null(strstr(fake->last, "Host: internal.example\r\n"));
    assert_slice(rig->x.request.authority, "shop.example");
    rig_service(rig, "{at: %s, host: endpoint}", fake->text);
    rig_expect(rig, "hello");
    assert_non_null(strstr(fake->last, fake->text));
}

static void serve_kinds(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    static const char *const answers[] = {
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: "
        "1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Gone\r\nX-Gone: 1\r\nX-Kept: "
        "1\r\nContent-Length: 1\r\n\r\nx",
    };
    for (int i = 0; i < 5 && fake_read(fake, stream); i++)
        fake_write(stream, answers[i]);
    fake_read(fake, stream);
}

static void test_kinds_of_answers(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_kinds, NULL);
    static const int statuses[] = {204, 304, 200, 200, 200};
    static const char *const bodies[] = {"", "", "", "abcde", "x"};
    rig_service(rig, "%s", fake->text);
    for (int i = 0; i < 5; i++) {
        assert_ok(rig_get(rig, "/"));
        assert_int_equal(rig->x.response.status, statuses[i]);
        assert_slices(rig_body(rig), slice_of_text(bodies[i]));
        if (i == 3)
            assert_slice(fields_value_named(rig->x.response.body->trailers, SLICE("x-sum")), "1");
    }
    assert_null(fields_value_named(&rig->x.response.fields, SLICE("x-gone")).data);
    assert_slice(fields_value_named(&rig->x.response.fields, SLICE("x-kept")), "1");
    assert_int_equal(fake->connections, 1);
}

static void serve_head(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    while (fake_read(fake, stream))
        fake_write(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
}

static void test_head(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_head, NULL);
    rig_service(rig, "%s", fake->text);
    for (int i = 0; i < 2; i++) {
        rig_request(rig, "HEAD", "/");
        assert_ok(rig_call(rig));
        assert_slice(rig_body(rig), "");
        assert_slice(fields_value(&rig->x.response.fields, FIELD_CONTENT_LENGTH), "100");
    }
    assert_int_equal(fake->connections, 1);
}

static void serve_farewell(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    while (fake_read(fake, stream))
        fake_write(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbye");
}

static void test_connection_close_is_obeyed(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_farewell, NULL);
    rig_service(rig, "%s", fake->text);
    rig_expect(rig, "bye");
    rig_expect(rig, "bye");
    assert_int_equal(fake->connections, 2);
}

/* What is after it in turn: an HTTP/1.0 answer and one that the end of the connection ends. */
static void serve_old(struct fake *fake, struct stream *stream, int number)
{
    if (fake_read(fake, stream))
        fake_write(stream, number % 2 ? "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold"
                                      : "HTTP/1.0 200 OK\r\n\r\nuntil the end");
}

static void test_old_endpoints(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_old, NULL);
    rig_service(rig, "%s", fake->text);
    rig_expect(rig, "old");
    rig_expect(rig, "until the end");
    rig_expect(rig, "old");
    assert_int_equal(fake->connections, 3);
}

/* --- bodies that stream */

/* Yields `parts` one by one, some milliseconds apart, then ends as told. */
struct slow_body {
    struct body body;
    const char *const *parts;
    enum status end;
    bool was_read;
};

static enum status read_slowly(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct slow_body *slow = (struct slow_body *)body;
    (void)deadline;
    slow->was_read = true;
    enum status e = fiber_sleep_until(loop_now() + 3 * MILLISECOND);
    if (e)
        return e;
    if (!*slow->parts)
        return slow->end;
    *ret_bytes = slice_of_text(*slow->parts++);
    return OK;
}

static void use_slow_body(struct rig *rig, struct slow_body *slow, const char *const *parts,
    int64_t length, enum status end)
{
    static const struct body_ops ops = {.read = read_slowly};
    *slow = (struct slow_body){{.ops = &ops, .length = length}, parts, end, false};
    rig->x.request.body = &slow->body;
}

static void test_streamed_upload(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    static const char *const parts[] = {"abc", "defg", NULL};
    struct slow_body slow;
    rig_service(rig, "%s", fake->text);
    rig_request(rig, "PUT", "/a");
    use_slow_body(rig, &slow, parts, 7, END);
    assert_ok(rig_call(rig));
    assert_slice(rig_body(rig), "hello");
    assert_non_null(strstr(fake->last, "Content-Length: 7\r\n\r\nabcdefg"));
    rig_request(rig, "PUT", "/b");
    use_slow_body(rig, &slow, parts, BODY_LENGTH_UNKNOWN, END);
    assert_ok(rig_call(rig));
    assert_slice(rig_body(rig), "hello");
    assert_non_null(
        strstr(fake->last, "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"));
    rig_expect(rig, "hello");
    assert_int_equal(fake->connections, 1);
}

/* Would take the rest of the upload for requests, were the connection used again. */
static void serve_early(struct fake *fake, struct stream *stream, int number)
{
    if (fake_read_head(fake, stream))
        fake_answer(stream, 413, "no");
    serve_politely(fake, stream, number);
}

static void test_answer_before_the_upload_has_ended(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_early, NULL);
    static const char *const parts[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", NULL};
    struct slow_body slow;
    rig_service(rig, "%s", fake->text);
    rig_request(rig, "POST", "/");
    use_slow_body(rig, &slow, parts, 10, END);
    assert_ok(rig_call(rig));
    assert_int_equal(rig->x.response.status, 413);
    assert_slice(rig_body(rig), "no");
    assert_non_null(*slow.parts); /* the rest was not sent */
    fake->serve = serve_politely;
    rig_expect(rig, "hello");
    assert_int_equal(fake->connections, 2);
}

/* Answers and closes while the request is still being written. */
static void serve_early_and_close(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    if (fake_read_head(fake, stream))
        fake_answer(stream, 403, "go away");
    stream_shutdown(stream);
    fiber_sleep_until(loop_now() + 10 * MILLISECOND);
}

static void test_answer_of_an_endpoint_that_takes_no_more(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_early_and_close, NULL);
    static char much[1 << 16];
    memset(much, 'x', sizeof much - 1);
    const char *parts[300];
    for (int i = 0; i < 299; i++)
        parts[i] = much;
    parts[299] = NULL;
    struct slow_body slow;
    rig_service(rig, "%s", fake->text);
    rig_request(rig, "POST", "/");
    use_slow_body(rig, &slow, parts, 299 * (int64_t)(sizeof much - 1), END);
    assert_ok(rig_call(rig));
    assert_int_equal(rig->x.response.status, 403);
    assert_slice(rig_body(rig), "go away");
}

static void serve_without_reading(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    fake_read_head(fake, stream);
    fiber_wait(loop_now() + 10 * SECOND);
}

static void test_endpoint_that_does_not_take_the_upload(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_without_reading, NULL);
    static char much[1 << 16];
    memset(much, 'x', sizeof much - 1);
    const char *parts[301];
    for (int i = 0; i < 300; i++)
        parts[i] = much;
    parts[300] = NULL;
    struct slow_body slow;
    rig_service(rig, "{at: %s, timeout: {idle: 80ms}}", fake->text);
    rig_request(rig, "POST", "/");
    use_slow_body(rig, &slow, parts, 300 * (int64_t)(sizeof much - 1), END);
    assert_status(rig_call(rig), UPSTREAM_WRITE_TIMEOUT);
    fake->serve = serve_politely;
    rig_expect(rig, "hello");
}

static void test_client_fails_in_the_upload(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    static const char *const parts[] = {"abc", NULL};
    static const struct {
        enum status end, outcome;
    } cases[] = {{INCOMPLETE, CLIENT_CLOSED}, {CLOSED, CLIENT_CLOSED}, {TIMEOUT, REQUEST_TIMEOUT},
        {BAD_CHUNK, BAD_CHUNK}, {BODY_TOO_LARGE, BODY_TOO_LARGE}};
    struct slow_body slow;
    rig_service(rig, "%s", fake->text);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig_request(rig, "POST", "/");
        use_slow_body(rig, &slow, parts, BODY_LENGTH_UNKNOWN, cases[i].end);
        assert_status(rig_call(rig), cases[i].outcome);
        rig_expect(rig, "hello");
    }
    assert_null(strstr(rig_describe(rig), "ejected"));
}

/* --- 100 and other interim answers */

struct interims {
    int statuses[8];
    int count;
};

static enum status note_interim(struct exchange *x, const struct http_response *interim)
{
    struct interims *interims = x->connection;
    interims->statuses[interims->count++] = interim->status;
    return OK;
}

static const struct exchange_hooks hooks = {.send_interim = note_interim};

static void serve_continue(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    if (!fake_read_head(fake, stream))
        return;
    fake_write(
        stream, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
    char body[16];
    size_t size = 0;
    if (stream_read(stream, body, 3, loop_now() + SECOND, &size) == OK && size == 3)
        fake_answer(stream, 200, "took it");
    fake_read_head(fake, stream);
}

static void begin_expecting(
    struct rig *rig, struct interims *interims, struct slow_body *slow, const char *const *parts)
{
    rig_request(rig, "PUT", "/");
    rig->x.hooks = &hooks;
    rig->x.connection = interims;
    rig->x.expects_continue = true;
    assert_ok(fields_add_known(&rig->x.request.fields, FIELD_EXPECT, SLICE("100-continue")));
    use_slow_body(rig, slow, parts, 3, END);
}

static void test_continue(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_continue, NULL);
    static const char *const parts[] = {"abc", NULL};
    struct interims interims = {0};
    struct slow_body slow;
    rig_service(rig, "%s", fake->text);
    begin_expecting(rig, &interims, &slow, parts);
    assert_ok(rig_call(rig));
    assert_slice(rig_body(rig), "took it");
    assert_non_null(strstr(fake->last, "expect: 100-continue\r\n"));
    assert_null(strstr(fake->last, "abc")); /* not with the head */
    assert_int_equal(interims.count, 2);
    assert_int_equal(interims.statuses[0], 103);
    assert_int_equal(interims.statuses[1], 100);
    assert_false(rig->x.expects_continue);
}

static void test_final_answer_instead_of_continue(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_early, NULL);
    static const char *const parts[] = {"abc", NULL};
    struct interims interims = {0};
    struct slow_body slow;
    rig_service(rig, "%s", fake->text);
    begin_expecting(rig, &interims, &slow, parts);
    assert_ok(rig_call(rig));
    assert_int_equal(rig->x.response.status, 413);
    fiber_sleep_until(loop_now() + 1100 * MILLISECOND); /* longer than one waits for 100 */
    assert_false(slow.was_read);
    assert_slice(rig_body(rig), "no");
    assert_int_equal(interims.count, 0);
    fake->serve = serve_politely;
    rig_expect(rig, "hello");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

static int run_all(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_get),
        TEST(test_connections_are_used_again),
        TEST(test_whole_answer_is_there_with_the_head),
        TEST(test_post),
        TEST(test_host),
        TEST(test_kinds_of_answers),
        TEST(test_head),
        TEST(test_connection_close_is_obeyed),
        TEST(test_old_endpoints),
        TEST(test_streamed_upload),
        TEST(test_answer_before_the_upload_has_ended),
        TEST(test_answer_of_an_endpoint_that_takes_no_more),
        TEST(test_endpoint_that_does_not_take_the_upload),
        TEST(test_client_fails_in_the_upload),
        TEST(test_continue),
        TEST(test_final_answer_instead_of_continue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
