#include "store/redis_cluster.h"

#include <string.h>

#include "support/unit.h"

static void slots_are_those_of_the_specification(void **state)
{
    (void)state;
    assert_int_equal(redis_slot_of(SLICE("123456789")), 0x31c3);
    assert_int_equal(redis_slot_of(SLICE("foo")), 12182);
    assert_int_equal(redis_slot_of(SLICE("")), 0);
    assert_int_equal(redis_slot_of(SLICE("\xff\xfe")), 3374);
}

static void braces_say_what_counts(void **state)
{
    (void)state;
    unsigned foo = redis_slot_of(SLICE("foo"));
    assert_int_equal(redis_slot_of(SLICE("{foo}.bar")), foo);
    assert_int_equal(redis_slot_of(SLICE("x{foo}{bar}")), foo);
    assert_int_not_equal(redis_slot_of(SLICE("{}foo")), foo);
    assert_int_not_equal(redis_slot_of(SLICE("{foo")), foo);
    assert_int_equal(redis_slot_of(SLICE("}{foo}")), foo);
}

static void redirects_are_read(void **state)
{
    struct redis_redirect redirect;
    (void)state;
    assert_ok(redis_redirect_read(SLICE("MOVED 3999 127.0.0.1:6381"), &redirect));
    assert_false(redirect.is_ask);
    assert_int_equal(redirect.slot, 3999);
    assert_slice(redirect.host, "127.0.0.1");
    assert_int_equal(redirect.port, 6381);
    assert_ok(redis_redirect_read(SLICE("ASK 16383 fe80::1:65535"), &redirect));
    assert_true(redirect.is_ask);
    assert_slice(redirect.host, "fe80::1");
    assert_int_equal(redirect.port, 65535);
}

static void what_is_no_redirect_is_none(void **state)
{
    static const char *const texts[] = {"", "MOVED", "MOVED 1", "MOVED 1 ", "MOVED 1 :6379",
        "MOVED 16384 a:1", "MOVED x a:1", "MOVED 1 a:0", "MOVED 1 a:65536", "MOVED 1 a:x",
        "MOVED 1 a", "moved 1 a:1", "ERR 1 a:1", "MOVED -1 a:1"};
    char text[400] = "MOVED 1 ";
    struct redis_redirect redirect;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_status(redis_redirect_read(slice_of_text(texts[i]), &redirect), INVALID);
    memset(text + 8, 'h', 300);
    strcpy(text + 300, ":1");
    assert_status(redis_redirect_read(slice_of_text(text), &redirect), INVALID);
}

#define NODE(host, port) "*3\r\n" host ":" port "\r\n$2\r\nid\r\n"

static void the_map_is_read(void **state)
{
    static const char map[] =
        "*3\r\n"
        "*4\r\n:0\r\n:5460\r\n" NODE("$9\r\n127.0.0.1\r\n", "7000")
            NODE("$9\r\n127.0.0.1\r\n", "7003") "*3\r\n:5461\r\n:5461\r\n" NODE(
                "$1\r\nb\r\n", "7001") "*3\r\n:5462\r\n:16383\r\n" NODE("$-1\r\n", "7002");
    struct redis_map_reader reader;
    struct redis_range range;
    (void)state;
    assert_ok(redis_map_begin(slice_of_text(map), &reader));
    assert_ok(redis_map_next(&reader, &range));
    assert_int_equal(range.first, 0);
    assert_int_equal(range.last, 5460);
    assert_slice(range.host, "127.0.0.1");
    assert_int_equal(range.port, 7000);
    assert_ok(redis_map_next(&reader, &range));
    assert_int_equal(range.first, 5461);
    assert_slice(range.host, "b");
    assert_ok(redis_map_next(&reader, &range));
    assert_int_equal(range.last, 16383);
    assert_int_equal(range.host.size, 0);
    assert_status(redis_map_next(&reader, &range), END);
}

static enum status read_map(const char *text)
{
    struct redis_map_reader reader;
    struct redis_range range;
    enum status e = redis_map_begin(slice_of_text(text), &reader);
    while (!e)
        e = redis_map_next(&reader, &range);
    return e;
}

static void what_is_no_map_is_none(void **state)
{
    static const char *const texts[] = {"", ":1\r\n", "-ERR no\r\n", "*1\r\n", "*1\r\n:1\r\n",
        "*1\r\n*2\r\n:0\r\n:1\r\n", "*1\r\n*3\r\n:5\r\n:4\r\n" NODE("$1\r\na\r\n", "1"),
        "*1\r\n*3\r\n:0\r\n:16384\r\n" NODE("$1\r\na\r\n", "1"),
        "*1\r\n*3\r\n:-1\r\n:1\r\n" NODE("$1\r\na\r\n", "1"),
        "*1\r\n*3\r\n:0\r\n:1\r\n" NODE("$1\r\na\r\n", "65536"),
        "*1\r\n*3\r\n:0\r\n:1\r\n*1\r\n$1\r\na\r\n", "*1\r\n*3\r\n:0\r\n:1\r\n:2\r\n",
        "*1\r\n*3\r\n:0\r\n$1\r\n1\r\n" NODE("$1\r\na\r\n", "1")};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_status(read_map(texts[i]), INVALID);
    assert_status(read_map("*0\r\n"), END);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(slots_are_those_of_the_specification),
        cmocka_unit_test(braces_say_what_counts), cmocka_unit_test(redirects_are_read),
        cmocka_unit_test(what_is_no_redirect_is_none), cmocka_unit_test(the_map_is_read),
        cmocka_unit_test(what_is_no_map_is_none)};
    return cmocka_run_group_tests_name("redis_cluster", tests, NULL, NULL);
}
