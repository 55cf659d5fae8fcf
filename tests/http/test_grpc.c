#include "http/grpc.h"

#include "http/exchange.h"
#include "support/unit.h"
#include "support/on_loop.h"

static void calls_are_known_by_their_type(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        enum grpc_kind kind;
        const char *rest;
    } rows[] = {{"application/grpc", GRPC_CALL, ""},
        {"application/grpc+proto", GRPC_CALL, "+proto"},
        {"Application/GRPC; x=y", GRPC_CALL, "; x=y"}, {"application/grpc-web", GRPC_WEB, ""},
        {"application/grpc-web+json", GRPC_WEB, "+json"},
        {"application/grpc-web-text+proto", GRPC_WEB_TEXT, "+proto"},
        {"application/grpcx", GRPC_NONE, ""}, {"application/json", GRPC_NONE, ""},
        {"application/grp", GRPC_NONE, ""}, {"", GRPC_NONE, ""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slice rest = SLICE("");
        assert_int_equal(grpc_kind_of_type(slice_of_text(rows[i].type), &rest), rows[i].kind);
        if (rows[i].kind)
            assert_slices(rest, slice_of_text(rows[i].rest));
    }
}

static void timeouts_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t nanoseconds; /* -1: malformed */
    } rows[] = {{"1n", 1}, {"1u", 1000}, {"250m", 250 * MILLISECOND}, {"2S", 2 * SECOND},
        {"3M", 3 * MINUTE}, {"4H", 4 * HOUR}, {"0S", 0}, {"99999999H", INT64_MAX}, {"", -1},
        {"S", -1}, {"5", -1}, {"5s", -1}, {"-5S", -1}, {"123456789S", -1}, {"1 S", -1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t got = -1;
        enum status e = grpc_timeout_parse(slice_of_text(rows[i].text), &got);
        assert_int_equal(e, rows[i].nanoseconds < 0 ? INVALID : OK);
        assert_int_equal(got, rows[i].nanoseconds);
    }
}

/* What is written is what is read, or a little less. */
static void timeouts_are_written(void **state)
{
    (void)state;
    static const int64_t rows[] = {1, 99999999, 100000000, 123456789, 5 * SECOND, HOUR, 400 * DAY};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char room[GRPC_TIMEOUT_MAX];
        int64_t back;
        assert_int_equal(grpc_timeout_parse(grpc_timeout_format(rows[i], room), &back), OK);
        assert_true(back <= rows[i] && back >= rows[i] - rows[i] / 10000);
    }
    char room[GRPC_TIMEOUT_MAX];
    assert_slice(grpc_timeout_format(0, room), "1n");
    assert_slice(grpc_timeout_format(-5, room), "1n");
    assert_slice(grpc_timeout_format(SECOND, room), "1000000u");
}

static void failures_have_a_status(void **state)
{
    (void)state;
    static const struct {
        enum status reason;
        enum grpc_status status;
    } rows[] = {{NO_ROUTE, GRPC_UNIMPLEMENTED}, {LIMIT_EXCEEDED, GRPC_RESOURCE_EXHAUSTED},
        {UPSTREAM_REFUSED, GRPC_UNAVAILABLE}, {NO_ENDPOINT, GRPC_UNAVAILABLE},
        {UPSTREAM_TIMEOUT, GRPC_DEADLINE_EXCEEDED}, {UPSTREAM_CONNECT_TIMEOUT, GRPC_UNAVAILABLE},
        {UPSTREAM_PROTOCOL, GRPC_INTERNAL}, {ADDRESS_DENIED, GRPC_PERMISSION_DENIED},
        {BAD_FIELD, GRPC_INVALID_ARGUMENT}, {BODY_TOO_LARGE, GRPC_RESOURCE_EXHAUSTED},
        {CLIENT_CLOSED, GRPC_CANCELLED}, {INTERNAL, GRPC_INTERNAL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(grpc_status_of(rows[i].reason), rows[i].status);
}

static void resets_have_a_status(void **state)
{
    (void)state;
    static const enum grpc_status rows[] = {GRPC_INTERNAL, GRPC_INTERNAL, GRPC_INTERNAL,
        GRPC_INTERNAL, GRPC_INTERNAL, GRPC_INTERNAL, GRPC_INTERNAL, GRPC_UNAVAILABLE,
        GRPC_CANCELLED, GRPC_INTERNAL, GRPC_INTERNAL, GRPC_RESOURCE_EXHAUSTED,
        GRPC_PERMISSION_DENIED, GRPC_INTERNAL, GRPC_INTERNAL};
    for (uint32_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(grpc_status_of_reset(i), rows[i]);
}

/* What is written for a failure with that reason, in fields of its own. */
static void expect_failure(struct exchange *x, enum status reason, const char *status)
{
    struct arena arena;
    struct fields fields;
    arena_init(&arena, 0, 0);
    fields_init(&fields, &arena);
    assert_int_equal(grpc_add_failure(x, &fields, reason, SLICE_NONE), OK);
    assert_slices(fields_value(&fields, FIELD_GRPC_STATUS), slice_of_text(status));
    assert_slices(
        fields_value(&fields, FIELD_GRPC_MESSAGE), slice_of_text(status_sentence(reason)));
    arena_release(&arena);
}

static void failures_are_written(void **state)
{
    (void)state;
    struct exchange x = {.deadline = NEVER};
    expect_failure(&x, UPSTREAM_INCOMPLETE, "14");
    x.grpc_reset = GRPC_CANCELLED;
    expect_failure(&x, UPSTREAM_INCOMPLETE, "1");
    expect_failure(&x, UPSTREAM_RESET, "1");
    expect_failure(&x, UPSTREAM_REFUSED, "14");
    x.deadline = 0;
    expect_failure(&x, UPSTREAM_RESET, "4");
    expect_failure(&x, LIMIT_EXCEEDED, "8");
}

static void the_frame_of_trailers(void **state)
{
    (void)state;
    struct arena arena;
    struct fields head, trailers;
    struct slice frame;
    arena_init(&arena, 0, 0);
    fields_init(&head, &arena);
    fields_init(&trailers, &arena);
    struct exchange x = {.deadline = NEVER};
    assert_int_equal(grpc_add_failure(&x, &head, UPSTREAM_TIMEOUT, SLICE("a%b\xc3\xa4")), OK);
    fields_add(&trailers, FIELD_OTHER, SLICE("x-more"), SLICE("1"));
    assert_int_equal(grpc_web_trailers(&arena, &head, &trailers, &frame), OK);
    assert_memory_equal(frame.data, "\x80\0\0\0", 4);
    assert_int_equal((unsigned char)frame.data[4], frame.size - 5);
    assert_slice(
        slice_from(frame, 5), "grpc-status: 4\r\ngrpc-message: a%25b%C3%A4\r\nx-more: 1\r\n");
    assert_null(fields_value(&head, FIELD_GRPC_STATUS).data);
    arena_release(&arena);
}

static int all(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_known_by_their_type),
        cmocka_unit_test(timeouts_are_read),
        cmocka_unit_test(timeouts_are_written),
        cmocka_unit_test(failures_have_a_status),
        cmocka_unit_test(resets_have_a_status),
        cmocka_unit_test(failures_are_written),
        cmocka_unit_test(the_frame_of_trailers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(all);
}
