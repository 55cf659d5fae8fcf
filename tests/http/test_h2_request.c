/* From the fields of a head by HTTP/2 to a request that means the same as one by HTTP/1.1. */
#include "http/h2_request.h"

#include <string.h>

#include "http/websocket_handshake.h"
#include "support/unit.h"

static const struct h1_limits limits = {.line = 300, .head = 1000, .fields = 10};

struct reading {
    struct arena arena;
    struct http_request request;
    struct h2_request_head head;
    struct h2_request_framing framing;
    enum status outcome;
};

/* "name: value" lines; a name may begin with a colon. */
static void read_head(struct reading *r, const char *lines, bool is_end)
{
    memset(r, 0, sizeof *r);
    arena_init(&r->arena, 0, (size_t)1 << 20);
    fields_init(&r->request.fields, &r->arena);
    h2_request_begin(&r->head, &r->request, &limits);
    while (*lines) {
        const char *end = strchr(lines, '\n'), *colon = strstr(lines + 1, ": ");
        h2_request_field(&r->head, slice_of(lines, (size_t)(colon - lines)),
            slice_of(colon + 2, (size_t)(end - colon) - 2));
        lines = end + 1;
    }
    r->outcome = h2_request_finish(&r->head, is_end, &r->framing);
}

#define METHOD(m) ":method: " m "\n"
#define REST      ":scheme: https\n:path: /a/../b?x=1\n:authority: Shop.Example:443\n"
#define GET       METHOD("GET") REST
#define ASK       METHOD("CONNECT") ":protocol: websocket\n" REST

static void what_is_well_formed_is_translated(void **state)
{
    (void)state;
    struct reading r;
    read_head(&r, GET "cookie: a=1\naccept: */*\ncookie: b=2\nx-own: y\n", true);
    assert_ok(r.outcome);
    assert_int_equal(r.request.method, METHOD_GET);
    assert_int_equal(r.request.version, HTTP_2);
    assert_slice(r.request.path, "/b");
    assert_slice(r.request.query, "x=1");
    assert_slice(r.request.host, "shop.example");
    assert_slice(fields_value(&r.request.fields, FIELD_HOST), "Shop.Example:443");
    assert_slice(fields_value(&r.request.fields, FIELD_COOKIE), "a=1; b=2");
    assert_slice(fields_value_named(&r.request.fields, SLICE("x-own")), "y");
    assert_int_equal(r.framing.length, 0);
    arena_release(&r.arena);
}

static void lengths_are_read(void **state)
{
    (void)state;
    struct reading r;
    read_head(&r, METHOD("POST") REST "content-length: 7\nexpect: 100-continue\n", false);
    assert_ok(r.outcome);
    assert_int_equal(r.framing.length, 7);
    assert_true(r.framing.expects_continue);
    assert_slice(fields_value(&r.request.fields, FIELD_CONTENT_LENGTH), "7");
    arena_release(&r.arena);
    read_head(&r, METHOD("POST") REST, false);
    assert_int_equal(r.framing.length, BODY_LENGTH_UNKNOWN);
    arena_release(&r.arena);
}

static void what_is_wrong_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        enum status outcome;
        bool is_malformed;
    } cases[] = {
        {":scheme: https\n:path: /\n:authority: a\n", BAD_REQUEST_LINE, true},
        {METHOD("GET") ":path: /\n:authority: a\n", BAD_REQUEST_LINE, true},
        {METHOD("GET") ":scheme: https\n:authority: a\n", BAD_REQUEST_LINE, true},
        {GET METHOD("GET"), BAD_REQUEST_LINE, true},
        {"x: y\n" GET, BAD_REQUEST_LINE, true},
        {GET ":status: 200\n", BAD_REQUEST_LINE, true},
        {GET ":protocol: websocket\n", BAD_REQUEST_LINE, true},
        {METHOD("CONNECT") REST, BAD_REQUEST_LINE, true},
        {METHOD("CONNECT") ":authority: a\n", BAD_REQUEST_LINE, false},
        {METHOD("CONNECT") ":protocol: \n" REST, BAD_REQUEST_LINE, true},
        {METHOD("CONNECT") ":protocol: a b\n" REST, BAD_REQUEST_LINE, true},
        {METHOD("CONNECT") ":protocol: websocket\n:authority: a\n", BAD_REQUEST_LINE, true},
        {METHOD("GET") ":scheme: ftp\n:path: /\n:authority: a\n", BAD_REQUEST_LINE, false},
        {METHOD("GET") ":scheme: https\n:path: a\n:authority: a\n", BAD_PATH, false},
        {METHOD("GET") ":scheme: https\n:path: /\n", BAD_HOST, false},
        {GET "host: other.example\n", BAD_HOST, true},
        {GET "Accept: */*\n", BAD_FIELD, true},
        {GET "x y: z\n", BAD_FIELD, true},
        {GET "x: a\rb\n", BAD_FIELD, true},
        {GET "x:  a\n", BAD_FIELD, true},
        {GET "connection: close\n", BAD_FIELD, true},
        {GET "upgrade: websocket\n", BAD_FIELD, true},
        {GET "transfer-encoding: chunked\n", BAD_FIELD, true},
        {GET "te: gzip\n", BAD_FIELD, true},
        {GET "content_length: 5\n", BAD_FRAMING, true},
        {GET "content-length: 5\n", BAD_FRAMING, true}, /* it ends here */
        {GET "content-length: 0\ncontent-length: 0\n", BAD_FRAMING, true},
        {GET "content-length: -1\n", BAD_FRAMING, true},
        {GET "content-length: 99999999999999999999\n", BAD_FRAMING, true},
        {GET "expect: x\n", EXPECTATION_FAILED, false},
        {GET "a: 1\nb: 1\nc: 1\nd: 1\ne: 1\nf: 1\ng: 1\nh: 1\ni: 1\nj: 1\nk: 1\n", FIELDS_TOO_LARGE,
            false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reading r;
        read_head(&r, cases[i].lines, true);
        if (r.outcome != cases[i].outcome || r.head.is_malformed != cases[i].is_malformed)
            print_error("%s", cases[i].lines);
        assert_status(r.outcome, cases[i].outcome);
        assert_int_equal(r.head.is_malformed, cases[i].is_malformed);
        arena_release(&r.arena);
    }
}

static void a_long_target_is_said_to_be_long(void **state)
{
    (void)state;
    struct reading r;
    char lines[600] = METHOD("GET") ":scheme: https\n:authority: a\n:path: /";
    size_t size = strlen(lines);
    memset(lines + size, 'x', 400);
    memcpy(lines + size + 400, "\n", 2);
    read_head(&r, lines, true);
    assert_status(r.outcome, TARGET_TOO_LONG);
    arena_release(&r.arena);
}

/* --- RFC 8441 */

static void an_extended_connect_becomes_an_upgrade(void **state)
{
    (void)state;
    static const uint64_t random[2] = {0, 0};
    struct reading r;
    read_head(&r, ASK "sec-websocket-key: whatever\nsec-websocket-version: 13\n", false);
    assert_ok(r.outcome);
    assert_true(r.framing.is_websocket);
    assert_false(websocket_is_asked_for(&r.request));
    assert_ok(websocket_from_connect(&r.request, random));
    assert_int_equal(r.request.method, METHOD_GET);
    assert_slice(r.request.method_text, "GET");
    assert_slice(r.request.path, "/b");
    assert_true(websocket_is_asked_for(&r.request));
    assert_slice(
        fields_combined(&r.request.fields, SLICE("sec-websocket-key")), "AAAAAAAAAAAAAAAAAAAAAA==");
    arena_release(&r.arena);
}

static void a_websocket_has_neither_length_nor_end(void **state)
{
    (void)state;
    struct reading r;
    read_head(&r, ASK, true);
    assert_status(r.outcome, BAD_HANDSHAKE);
    arena_release(&r.arena);
    read_head(&r, ASK "content-length: 0\n", false);
    assert_status(r.outcome, BAD_HANDSHAKE);
    assert_false(r.head.is_malformed);
    arena_release(&r.arena);
}

static void other_protocols_stay_a_connect(void **state)
{
    (void)state;
    struct reading r;
    read_head(&r, METHOD("CONNECT") ":protocol: connect-udp\n" REST, false);
    assert_ok(r.outcome);
    assert_false(r.framing.is_websocket);
    assert_int_equal(r.request.method, METHOD_CONNECT);
    arena_release(&r.arena);
}

static void the_answer_loses_what_http_2_does_not_say(void **state)
{
    (void)state;
    struct arena arena;
    struct http_response response = {.status = 101};
    arena_init(&arena, 0, 0);
    fields_init(&response.fields, &arena);
    assert_ok(fields_add_made(&response.fields, FIELD_SEC_WEBSOCKET_ACCEPT, SLICE("x")));
    assert_ok(fields_add_made(&response.fields, FIELD_SEC_WEBSOCKET_PROTOCOL, SLICE("chat")));
    websocket_to_connect(&response);
    assert_int_equal(response.status, 200);
    assert_false(fields_has(&response.fields, FIELD_SEC_WEBSOCKET_ACCEPT));
    assert_slice(fields_value(&response.fields, FIELD_SEC_WEBSOCKET_PROTOCOL), "chat");
    arena_release(&arena);
}

/* --- trailers */

static void trailers_are_held_to_the_same(void **state)
{
    (void)state;
    struct arena arena;
    struct fields trailers;
    struct h2_budget budget = {.bytes = 60, .fields = 3};
    arena_init(&arena, 0, 0);
    fields_init(&trailers, &arena);
    assert_status(h2_trailer_field(&trailers, &budget, SLICE(":status"), SLICE("200")), BAD_FIELD);
    assert_status(h2_trailer_field(&trailers, &budget, SLICE("X"), SLICE("1")), BAD_FIELD);
    assert_status(h2_trailer_field(&trailers, &budget, SLICE("connection"), SLICE("x")), BAD_FIELD);
    assert_ok(h2_trailer_field(&trailers, &budget, SLICE("x"), SLICE("1")));
    assert_status(h2_trailer_field(&trailers, &budget, SLICE("y"), SLICE("1234567890123456789")),
        FIELDS_TOO_LARGE);
    assert_slice(fields_value_named(&trailers, SLICE("x")), "1");
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_well_formed_is_translated),
        cmocka_unit_test(lengths_are_read),
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(a_long_target_is_said_to_be_long),
        cmocka_unit_test(an_extended_connect_becomes_an_upgrade),
        cmocka_unit_test(a_websocket_has_neither_length_nor_end),
        cmocka_unit_test(other_protocols_stay_a_connect),
        cmocka_unit_test(the_answer_loses_what_http_2_does_not_say),
        cmocka_unit_test(trailers_are_held_to_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
