#include "l4/opening.h"

#include "run/loop.h"
#include "run/scope.h"
#include "run/socket.h"
#include "support/unit.h"

struct pair {
    struct stream *near, *far;
};

static void expect_rest(struct stream *stream, const char *rest)
{
    char bytes[64];
    size_t size;
    assert_ok(stream_read(stream, bytes, sizeof bytes, loop_now() + SECOND, &size));
    assert_slices(slice_of(bytes, size), slice_of_text(rest));
}

static void read_header(void *argument)
{
    (void)argument;
    struct pair p;
    struct proxy_header header;
    assert_ok(socket_pair(&p.near, &p.far));
    struct slice said = SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\nGET /");
    assert_ok(stream_write(p.far, said.data, said.size, NEVER, NULL));
    assert_ok(opening_read_proxy_header(p.near, loop_now() + SECOND, &header));
    assert_int_equal(address_port(&header.source), 9);
    expect_rest(p.near, "GET /");

    assert_ok(stream_write(p.far, "PROXY TCP4", 10, NEVER, NULL));
    enum status e = opening_read_proxy_header(p.near, loop_now() + 20 * MILLISECOND, &header);
    assert_status(e, OPENING_TIMEOUT);
    stream_close(p.far);
    assert_status(opening_read_proxy_header(p.near, NEVER, &header), CLIENT_CLOSED);
    stream_close(p.near);

    assert_ok(socket_pair(&p.near, &p.far));
    assert_ok(stream_write(p.far, "PROXY TCP4", 10, NEVER, NULL));
    stream_close(p.far);
    assert_status(opening_read_proxy_header(p.near, NEVER, &header), BAD_PROXY_HEADER);
    stream_close(p.near);

    assert_ok(socket_pair(&p.near, &p.far));
    assert_ok(stream_write(p.far, "GET / HTTP/1.1\r\n", 16, NEVER, NULL));
    assert_status(opening_read_proxy_header(p.near, NEVER, &header), BAD_PROXY_HEADER);
    stream_close(p.far);
    stream_close(p.near);
}

static void a_header_is_read_and_nothing_behind_it(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, read_header, NULL));
}

/* The shortest that there is: a version, a random number, no session, one cipher, no extension. */
static const char hello[] = "\x16\x03\x01\0\x2d\x01\0\0\x29\x03\x03"
                            "0123456789abcdef0123456789abcdef"
                            "\0\0\x02\x13\x01\x01\0";

static void dribble(void *argument)
{
    struct stream *stream = argument;
    for (size_t i = 0; i < sizeof hello - 1; i++) {
        assert_ok(stream_write(stream, hello + i, 1, NEVER, NULL));
        fiber_yield();
    }
}

static void read_hello(void *argument)
{
    (void)argument;
    struct pair p;
    struct scope scope;
    struct client_hello read;
    struct text early = text_growing(CLIENT_HELLO_BYTES_MAX);
    scope_init(&scope);
    assert_ok(socket_pair(&p.near, &p.far));
    assert_ok(scope_start(&scope, dribble, p.far));
    assert_ok(opening_read_client_hello(p.near, loop_now() + 5 * SECOND, &early, &read));
    assert_slices(text_slice(&early), slice_of(hello, sizeof hello - 1));
    scope_end(&scope);

    text_clear(&early);
    assert_ok(stream_write(p.far, hello, 20, NEVER, NULL));
    enum status e = opening_read_client_hello(p.near, loop_now() + 20 * MILLISECOND, &early, &read);
    assert_status(e, OPENING_TIMEOUT);
    stream_close(p.far);
    assert_status(opening_read_client_hello(p.near, NEVER, &early, &read), BAD_CLIENT_HELLO);
    text_clear(&early);
    assert_status(opening_read_client_hello(p.near, NEVER, &early, &read), CLIENT_CLOSED);
    text_release(&early);
    stream_close(p.near);
}

static void a_hello_is_read_with_all_that_came(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, read_hello, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_read_and_nothing_behind_it),
        cmocka_unit_test(a_hello_is_read_with_all_that_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
