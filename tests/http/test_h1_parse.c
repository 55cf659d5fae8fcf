#include "http/h1_parse.h"

#include "http/heads.h"
#include "support/unit.h"

static const struct h1_limits usual = H1_LIMITS_DEFAULT;

static int setup(void **state)
{
    static struct arena arena;
    arena_init(&arena, 0, 0);
    *state = &arena;
    return 0;
}

static int teardown(void **state)
{
    arena_release(*state);
    return 0;
}

/* The verdict over the whole, after making sure that no way of cutting the bytes gives another one.
 */
static struct head read_every_way(struct arena *arena, enum h1_kind kind, enum http_method method,
    const struct h1_limits *limits, struct slice bytes)
{
    struct head whole = head_read(arena, kind, method, limits, bytes, SIZE_MAX);
    for (size_t step = 1; step < bytes.size && step < 70; step++) {
        struct arena scratch;
        arena_init(&scratch, 0, 0);
        struct head cut = head_read(&scratch, kind, method, limits, bytes, step);
        if (!heads_same(&whole, &cut))
            fail_msg("%s whole, %s in steps of %zu: %.*s", status_word(whole.verdict),
                status_word(cut.verdict), step, SLICE_ARG(bytes));
        arena_release(&scratch);
    }
    return whole;
}

static struct head request(void **state, const char *text)
{
    return read_every_way(*state, H1_REQUEST_HEAD, METHOD_OTHER, &usual, slice_of_text(text));
}

static void is(struct slice got, const char *want)
{
    if (!slice_equal(got, slice_of_text(want)))
        fail_msg("'%.*s' is not '%s'", SLICE_ARG(got), want);
}

static void a_request_is_taken_apart(void **state)
{
    struct head head = request(state,
        "GET /a/../b?x=1 HTTP/1.1\r\nHost: Example.com:8080\r\naccept:*/*\t \r\nX-Empty:\r\n"
        "X-Text: \xe9t\xe9 \t x\r\n\r\nbody");
    assert_ok(head.verdict);
    assert_int_equal(head.request.method, METHOD_GET);
    assert_int_equal(head.request.version, HTTP_1_1);
    is(head.request.method_text, "GET");
    is(head.request.target, "/a/../b?x=1");
    is(head.request.path, "/b");
    is(head.request.query, "x=1");
    is(head.request.host, "example.com");
    is(head.request.authority, "Example.com:8080");
    assert_int_equal(head.request.fields.count, 4);
    is(fields_value(&head.request.fields, FIELD_ACCEPT), "*/*");
    is(fields_value_named(&head.request.fields, SLICE("x-empty")), "");
    is(fields_value_named(&head.request.fields, SLICE("x-text")), "\xe9t\xe9 \t x");
    assert_int_equal(head.framing.kind, H1_NO_BODY);
    assert_true(head.framing.keep_alive);
    assert_false(head.framing.expects_continue);
}

static void framing_follows_the_fields(void **state)
{
    struct head head =
        request(state, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0042\r\nExpect: "
                       "100-Continue\r\nConnection: x, Close\r\n\r\n");
    assert_int_equal(head.framing.kind, H1_LENGTH);
    assert_int_equal(head.framing.length, 42);
    assert_true(head.framing.expects_continue);
    assert_false(head.framing.keep_alive);
    head = request(state, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \tChunked \r\n\r\n");
    assert_int_equal(head.framing.kind, H1_CHUNKED);
    head = request(
        state, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(head.framing.kind, H1_LENGTH);
    assert_false(head.framing.expects_continue);
    head = request(state, "GET / HTTP/1.0\r\n\r\n");
    assert_ok(head.verdict);
    assert_false(head.framing.keep_alive);
    assert_null(head.request.query.data);
    head = request(state, "GET /? HTTP/1.0\r\nConnection: Keep-Alive\r\nExpect: magic\r\n\r\n");
    assert_true(head.framing.keep_alive);
    assert_true(head.request.query.data && head.request.query.size == 0);
    assert_false(fields_has(&head.request.fields, FIELD_EXPECT));
    head =
        request(state, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n");
    assert_int_equal(head.framing.length, INT64_MAX);
}

static void targets_have_four_forms(void **state)
{
    struct head head = request(state, "GET HTTP://A.b:80?q HTTP/1.1\r\nHost: a.B\r\n\r\n");
    assert_ok(head.verdict);
    is(head.request.path, "/");
    is(head.request.query, "q");
    is(head.request.host, "a.b");
    is(head.request.authority, "A.b:80");
    head = request(state, "GET https://a/x/%2e HTTP/1.1\r\nHost: a:443\r\n\r\n");
    is(head.request.path, "/x/");
    head = request(state, "GET http://[::1]:81/ HTTP/1.0\r\n\r\n");
    is(head.request.host, "::1");
    is(head.request.authority, "[::1]:81");
    head = request(state, "OPTIONS * HTTP/1.1\r\nHost: a.\r\n\r\n");
    is(head.request.path, "*");
    is(head.request.host, "a");
    head = request(state, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
    assert_ok(head.verdict);
    assert_int_equal(head.request.path.size, 0);
    is(head.request.host, "a");
}

/* A line after "Host: a". */
#define WITH(field)    "POST / HTTP/1.1\r\nHost: a\r\n" field "\r\n\r\n"
#define TARGET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

static void small_liberties_are_taken(void **state)
{
    assert_ok(request(state, "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").verdict);
    assert_ok(request(state, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").verdict);
    assert_ok(request(state, WITH("ContentXLength: 1\r\nContent-Lengths: 2\r\nX_Y: z")).verdict);
    struct head head = request(state, "x!#$%&'*+-.^_`|~9 / HTTP/1.9\r\nHost: a\r\nX_y: z\r\n\r\n");
    assert_ok(head.verdict);
    assert_int_equal(head.request.version, HTTP_1_1);
    assert_int_equal(head.request.method, METHOD_OTHER);
    assert_int_equal(
        request(state, "get / HTTP/1.1\r\nHost: a\r\n\r\n").request.method, METHOD_OTHER);
}

struct refusal {
    const char *text;
    enum status verdict;
};

static const struct refusal refusals[] = {
    {"\r\n\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", BAD_REQUEST_LINE},
    {"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BAD_REQUEST_LINE},
    {WITH("Content_Length: 1"), BAD_FRAMING},
    {WITH("TRANSFER.encoding: chunked"), BAD_FRAMING},
    {"\nGET / HTTP/1.1\r\n", BAD_REQUEST_LINE},
    {"\rGET / HTTP/1.1\r\n", BAD_REQUEST_LINE},
    {" GET / HTTP/1.1\r\n", BAD_REQUEST_LINE},
    {"G@T / HTTP/1.1\r\n", BAD_REQUEST_LINE},
    {"GET  / HTTP/1.1\r\n", BAD_REQUEST_LINE},
    {"GET\t/ HTTP/1.1\r\n", BAD_REQUEST_LINE},
    {"GET /  HTTP/1.1\r\n", BAD_REQUEST_LINE},
    {"GET /\tHTTP/1.1\r\n", BAD_REQUEST_LINE},
    {"GET / HTTP/1.1 \r\n", BAD_REQUEST_LINE},
    {"GET / HTTP/1.1\n", BAD_REQUEST_LINE},
    {"GET / HTTP/1.1\rX", BAD_REQUEST_LINE},
    {"GET /\r\n", BAD_REQUEST_LINE},
    {"GET\r\n", BAD_REQUEST_LINE},
    {"GET / http/1.1\r\n", BAD_REQUEST_LINE},
    {"GET / HTTP/1,1\r\n", BAD_REQUEST_LINE},
    {"GET / HTTP/1.10\r\n", BAD_REQUEST_LINE},
    {"GET / HTTP/01.1\r\n", VERSION_NOT_SUPPORTED},
    {"GET / HTTP/0.9\r\n", VERSION_NOT_SUPPORTED},
    {"GET / HTTP/2.0\r\n", VERSION_NOT_SUPPORTED},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION_NOT_SUPPORTED},
    {TARGET("/a#b"), BAD_REQUEST_LINE},
    {TARGET("/\x01"), BAD_REQUEST_LINE},
    {TARGET("/\x7f"), BAD_REQUEST_LINE},
    {TARGET("/\xc3\xa9"), BAD_REQUEST_LINE},
    {TARGET("a"), BAD_REQUEST_LINE},
    {TARGET("*"), BAD_REQUEST_LINE},
    {TARGET("*/"), BAD_REQUEST_LINE},
    {TARGET("?q"), BAD_REQUEST_LINE},
    {TARGET("a:80"), BAD_REQUEST_LINE},
    {TARGET("ftp://a/"), BAD_REQUEST_LINE},
    {TARGET("http:/a/"), BAD_REQUEST_LINE},
    {TARGET("http:///"), BAD_HOST},
    {TARGET("http://u@a/"), BAD_HOST},
    {TARGET("http://b/"), BAD_HOST},
    {TARGET("http://a:81/"), BAD_HOST},
    {TARGET("https://a:80/"), BAD_HOST},
    {TARGET("/../x"), BAD_PATH},
    {TARGET("/a%2fb"), BAD_PATH},
    {TARGET("http://a/%00"), BAD_PATH},
    {"OPTIONS /* HTTP/1.1\r\nHost: a b\r\n\r\n", BAD_HOST},
    {"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", BAD_REQUEST_LINE},
    {"CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n", BAD_HOST},
    {"CONNECT b:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", BAD_HOST},
    {"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 1\r\n\r\n", BAD_FRAMING},
    {"TRACE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", BAD_FRAMING},
    {"GET / HTTP/1.1\r\n\r\n", BAD_HOST},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", BAD_HOST},
    {"GET / HTTP/1.0\r\nHost: \r\n\r\n", BAD_HOST},
    {WITH("Host: a"), BAD_HOST},
    {WITH("hOST: b"), BAD_HOST},
    {"GET / HTTP/1.1\r\nHost: a, a\r\n\r\n", BAD_HOST},
    {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", BAD_HOST},
    {"GET / HTTP/1.1\r\nHost: a:x\r\n\r\n", BAD_HOST},
    {WITH("X : a"), BAD_FIELD},
    {WITH("X\t: a"), BAD_FIELD},
    {WITH(": a"), BAD_FIELD},
    {WITH("X"), BAD_FIELD},
    {WITH("X y: a"), BAD_FIELD},
    {WITH("X\x80: a"), BAD_FIELD},
    {WITH("X: a\x01"), BAD_FIELD},
    {WITH("X: a\x7f"), BAD_FIELD},
    {WITH("X: a\nY: b"), BAD_FIELD},
    {WITH("X: a\rY: b"), BAD_FIELD},
    {WITH("X: a\r\n b"), BAD_FIELD},
    {WITH("X: a\r\n\tb"), BAD_FIELD},
    {WITH("X: a\r\n \r\n"), BAD_FIELD},
    {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", BAD_FIELD},
    {"GET / HTTP/1.1\r\nHost: a\r\n\n", BAD_FIELD},
    {"GET / HTTP/1.1\r\nHost: a\n\n", BAD_FIELD},
    {"GET / HTTP/1.1\r\nHost: a\r\n\rx", BAD_FIELD},
    {WITH("Content-Length: 1\r\nContent-Length: 1"), BAD_FRAMING},
    {WITH("Content-Length: 1\r\nContent-Length: 2"), BAD_FRAMING},
    {WITH("Content-Length: 5, 5"), BAD_FRAMING},
    {WITH("Content-Length: +5"), BAD_FRAMING},
    {WITH("Content-Length: -5"), BAD_FRAMING},
    {WITH("Content-Length: 4 2"), BAD_FRAMING},
    {WITH("Content-Length: 0x10"), BAD_FRAMING},
    {WITH("Content-Length: 1."), BAD_FRAMING},
    {WITH("Content-Length:"), BAD_FRAMING},
    {WITH("Content-Length: 9223372036854775808"), BAD_FRAMING},
    {WITH("Content-Length: 18446744073709551617"), BAD_FRAMING},
    {WITH("Content-Length: 1\r\nTransfer-Encoding: chunked"), BAD_FRAMING},
    {WITH("Transfer-Encoding: chunked\r\nContent-Length: 1"), BAD_FRAMING},
    {WITH("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), BAD_FRAMING},
    {WITH("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"), BAD_FRAMING},
    {WITH("Transfer-Encoding: chunked, chunked"), BAD_FRAMING},
    {WITH("Transfer-Encoding: chunked, gzip"), BAD_FRAMING},
    {WITH("Transfer-Encoding: gzip, chunked"), NOT_IMPLEMENTED},
    {WITH("Transfer-Encoding: chunked;q=1"), BAD_FRAMING},
    {WITH("Transfer-Encoding: \"chunked\""), BAD_FRAMING},
    {WITH("Transfer-Encoding: xchunked"), BAD_FRAMING},
    {WITH("Transfer-Encoding: chunke"), BAD_FRAMING},
    {WITH("Transfer-Encoding: chunked,"), NOT_IMPLEMENTED},
    {WITH("Transfer-Encoding: identity"), BAD_FRAMING},
    {WITH("Transfer-Encoding:"), BAD_FRAMING},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", BAD_FRAMING},
    {WITH("Expect: 200-ok"), EXPECTATION_FAILED},
};

static void refusals_have_their_words(void **state)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct head head = request(state, refusals[i].text);
        if (head.verdict != refusals[i].verdict)
            fail_msg("%s (not %s): %s", status_word(head.verdict), status_word(refusals[i].verdict),
                refusals[i].text);
    }
}

static void nul_is_refused_anywhere(void **state)
{
    struct slice whole = SLICE("GET /a HTTP/1.1\r\nHost: a\r\nX-Y: some value\r\n\r\n");
    for (size_t at = 0; at < whole.size; at++) {
        char text[64];
        memcpy(text, whole.data, whole.size);
        text[at] = '\0';
        struct head head = read_every_way(
            *state, H1_REQUEST_HEAD, METHOD_OTHER, &usual, slice_of(text, whole.size));
        assert_true(head.verdict != OK && head.verdict != INCOMPLETE);
    }
}

/* Whoever sends one wrong byte hears of it without having to send more. */
static void a_bad_byte_is_refused_at_once(void **state)
{
    static const char *const cases[] = {" ", "G@", "GET  ", "GET /\x80", "GET / h", "GET / HTTP/2",
        "GET / HTTP/1.1\n", "GET / HTTP/1.1\r\n ", "GET / HTTP/1.1\r\n:", "GET / HTTP/1.1\r\nA ",
        "GET / HTTP/1.1\r\nA: \x01", "GET / HTTP/1.1\r\nA: \rx", "GET / HTTP/1.1\r\nA: b\n"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice bytes = slice_of_text(cases[i]);
        struct head before = head_read(
            *state, H1_REQUEST_HEAD, METHOD_OTHER, &usual, slice_head(bytes, bytes.size - 1), 1);
        struct head after = request(state, cases[i]);
        assert_status(bytes.size > 1 ? before.verdict : INCOMPLETE, INCOMPLETE);
        assert_int_not_equal(after.verdict, INCOMPLETE);
        assert_int_not_equal(after.verdict, OK);
    }
}

static void a_part_of_a_head_is_incomplete(void **state)
{
    struct slice whole = SLICE("POST http://a/b?c HTTP/1.1\r\nHost: a\r\nX-Y: \t some value "
                               "\r\nContent-Length: 3\r\n\r\n");
    for (size_t size = 1; size < whole.size; size++) {
        struct head head = head_read(
            *state, H1_REQUEST_HEAD, METHOD_OTHER, &usual, slice_head(whole, size), SIZE_MAX);
        assert_status(head.verdict, INCOMPLETE);
    }
}

static void limits_hold_to_the_byte(void **state)
{
    struct slice text = SLICE("GET /12345 HTTP/1.1\r\nHost: a\r\nB: c\r\nC: d\r\n\r\n");
    struct h1_limits limits = {.line = 21, .head = text.size, .fields = 3};
    struct arena *arena = *state;
    assert_ok(read_every_way(arena, H1_REQUEST_HEAD, 0, &limits, text).verdict);
    limits.line--;
    assert_status(
        read_every_way(arena, H1_REQUEST_HEAD, 0, &limits, text).verdict, TARGET_TOO_LONG);
    limits.line = 100;
    limits.head--;
    assert_status(
        read_every_way(arena, H1_REQUEST_HEAD, 0, &limits, text).verdict, FIELDS_TOO_LARGE);
    limits.head = 1000;
    limits.fields = 2;
    assert_status(
        read_every_way(arena, H1_REQUEST_HEAD, 0, &limits, text).verdict, FIELDS_TOO_LARGE);
}

static struct head response(void **state, enum http_method method, const char *text)
{
    return read_every_way(*state, H1_RESPONSE_HEAD, method, &usual, slice_of_text(text));
}

static void responses_are_framed(void **state)
{
    static const struct {
        enum http_method method;
        int status;
        const char *text;
        uint64_t length;
        enum h1_body_kind kind;
        bool keep_alive;
    } cases[] = {
        {METHOD_GET, 200, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 5, H1_LENGTH, true},
        {METHOD_GET, 200, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 0, H1_LENGTH, true},
        {METHOD_GET, 404, "HTTP/1.1 404 \xc3\xa9 \t\r\nTransfer-Encoding: CHUNKED\r\n\r\n", 0,
            H1_CHUNKED, true},
        {METHOD_GET, 200, "HTTP/1.1 200 \r\n\r\n", 0, H1_UNTIL_CLOSE, false},
        {METHOD_GET, 200, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", 5, H1_LENGTH, false},
        {METHOD_GET, 200, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n",
            5, H1_LENGTH, true},
        {METHOD_GET, 200, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n", 5,
            H1_LENGTH, false},
        {METHOD_HEAD, 200, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 5, H1_NO_BODY, true},
        {METHOD_HEAD, 200, "HTTP/1.1 200 OK\r\n\r\n", 0, H1_NO_BODY, true},
        {METHOD_GET, 304, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 5, H1_NO_BODY,
            true},
        {METHOD_GET, 204, "HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", 0, H1_NO_BODY, true},
        {METHOD_GET, 100, "HTTP/1.1 100 Continue\r\n\r\n", 0, H1_NO_BODY, true},
        {METHOD_GET, 103, "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", 0, H1_NO_BODY, true},
        {METHOD_GET, 101, "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", 0, H1_NO_BODY, true},
        {METHOD_CONNECT, 200, "HTTP/1.1 200 OK\r\n\r\n", 0, H1_NO_BODY, true},
        {METHOD_GET, 999, "HTTP/1.3 999 x\r\nHost: a\r\nHost: b\r\nContent-Length: 1\r\n\r\n", 1,
            H1_LENGTH, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct head head = response(state, cases[i].method, cases[i].text);
        if (head.verdict != OK || head.response.status != cases[i].status ||
            head.framing.kind != cases[i].kind || head.framing.length != cases[i].length ||
            head.framing.keep_alive != cases[i].keep_alive)
            fail_msg("%s %d: %s", status_word(head.verdict), head.framing.kind, cases[i].text);
    }
}

static void bad_responses_are_refused(void **state)
{
    static const char *const cases[] = {
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 200\tOK\r\n\r\n",
        "HTTP/1.1 200OK\r\n\r\n",
        "HTTP/1.1 200 O\x01K\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 204 No\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct head head = response(state, METHOD_GET, cases[i]);
        if (head.verdict == OK || head.verdict == INCOMPLETE)
            fail_msg("%s: %s", status_word(head.verdict), cases[i]);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_taken_apart),
        TEST(framing_follows_the_fields),
        TEST(targets_have_four_forms),
        TEST(small_liberties_are_taken),
        TEST(refusals_have_their_words),
        TEST(nul_is_refused_anywhere),
        TEST(a_bad_byte_is_refused_at_once),
        TEST(a_part_of_a_head_is_incomplete),
        TEST(limits_hold_to_the_byte),
        TEST(responses_are_framed),
        TEST(bad_responses_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
