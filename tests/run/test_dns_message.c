/* Answers of the DNS, byte by byte. */
#include "run/dns_message.h"
#include "support/arena_fixture.h"
#include "support/unit.h"

#define MESSAGE(bytes) slice_of("" bytes, sizeof(bytes) - 1)

/* A head with so many questions, answers, authorities and additional records. */
#define HEAD(q, a, n, x) "\x12\x34\x81\x80\0" q "\0" a "\0" n "\0" x
#define QUESTION         "\4cart\4test\0\0\x21\0\1"
/* Name (the question's), SRV, IN, TTL 60, size. */
#define SRV(size) "\xc0\x0c\0\x21\0\1\0\0\0\x3c\0" size

static void test_records(void **state)
{
    (void)state;
    struct dns_srv_answer a;
    struct slice message =
        MESSAGE(HEAD("\1", "\2", "\0", "\2") QUESTION SRV("\x0a") "\0\1\0\5\x1f\x90\1a\xc0\x0c" SRV(
            "\x09") "\0\2\xff\xff\0\x50\1b\0"
                    "\1a\xc0\x0c\0\1\0\1\0\0\0\7"
                    "\0\4\x0a\0\0\1"
                    "\1b\0\0\x1c\0\1\0\0\0\7\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1");
    assert_ok(dns_read_srv(&arena, message, &a));
    assert_int_equal(a.count, 2);
    assert_int_equal(a.records[0].priority, 1);
    assert_int_equal(a.records[0].weight, 5);
    assert_int_equal(a.records[0].port, 8080);
    assert_int_equal(a.records[0].ttl, 60);
    assert_slice(a.records[0].target, "a.cart.test");
    assert_int_equal(a.records[1].weight, 65535);
    assert_slice(a.records[1].target, "b");
    assert_int_equal(a.address_count, 2);
    assert_slice(a.addresses[0].name, "a.cart.test");
    assert_int_equal(a.addresses[0].ttl, 7);
    assert_int_equal(ntohl(a.addresses[0].address.v4.sin_addr.s_addr), 0x0a000001);
    assert_int_equal(a.addresses[1].address.any.sa_family, AF_INET6);
}

static void test_what_else_there_is(void **state)
{
    (void)state;
    struct dns_srv_answer a;
    /* A CNAME before, an NS between, an OPT behind; a target that is the root: no such service. */
    struct slice message = MESSAGE(HEAD("\1", "\2", "\1", "\1") QUESTION
        "\xc0\x0c\0\5\0\1\0\0\0\1\0\2\xc0\x11" SRV("\7") "\0\0\0\0\0\0\0"
                                                         "\xc0\x0c\0\2\0\1\0\0\0\1\0\2\xc0\x0c"
                                                         "\0\0\x29\x10\0\0\0\0\0\0\0");
    assert_ok(dns_read_srv(&arena, message, &a));
    assert_int_equal(a.count, 1);
    assert_int_equal(a.records[0].target.size, 0);
    assert_int_equal(a.address_count, 0);
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct slice message;
    } bad[] = {
        {"no head", SLICE_INIT("\x12\x34\x81\x80")},
        {"no question", SLICE_INIT(HEAD("\1", "\0", "\0", "\0"))},
        {"cut question", SLICE_INIT(HEAD("\1", "\0", "\0", "\0") "\4cart\0\0\x21")},
        {"missing answer", SLICE_INIT(HEAD("\1", "\1", "\0", "\0") QUESTION)},
        {"cut data", SLICE_INIT(HEAD("\1", "\1", "\0", "\0") QUESTION SRV("\x0a") "\0\1\0\5")},
        {"no target", SLICE_INIT(HEAD("\1", "\1", "\0", "\0") QUESTION SRV("\6") "\0\1\0\5\0\1")},
        {"a name beyond the data",
            SLICE_INIT(HEAD("\1", "\1", "\0", "\0") QUESTION SRV("\7") "\0\1\0\5\0\1\1a\0")},
        {"a name that ends early",
            SLICE_INIT(HEAD("\1", "\1", "\0", "\0") QUESTION SRV("\x0a") "\0\1\0\5\0\1\1a\0x")},
        {"a pointer to itself",
            SLICE_INIT(HEAD("\1", "\1", "\0", "\0") QUESTION SRV("\x08") "\0\1\0\5\0\1\xc0\x30")},
        {"a pointer forward",
            SLICE_INIT(HEAD("\1", "\1", "\0", "\0") QUESTION SRV("\x08") "\0\1\0\5\0\1\xff\xff")},
        {"bytes that are no name",
            SLICE_INIT(HEAD("\1", "\1", "\0", "\0") QUESTION SRV("\x09") "\0\1\0\5\0\1\1\n\0")},
        {"a length of a third kind",
            SLICE_INIT(HEAD("\1", "\1", "\0", "\0") QUESTION SRV("\x08") "\0\1\0\5\0\1\x40\0")},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct dns_srv_answer a;
        /* A copy of just that size, so that a look behind its end is seen. */
        struct slice message = arena_copy(&arena, bad[i].message);
        if (dns_read_srv(&arena, message, &a) != INVALID)
            fail_msg("%s was taken", bad[i].what);
    }
}

static void test_long_names(void **state)
{
    (void)state;
    struct dns_srv_answer a;
    char room[600] = {0};
    struct text text = text_fixed(room, sizeof room);
    text_add(&text, MESSAGE(HEAD("\0", "\1", "\0", "\0") "\0\0\x21\0\1\0\0\0\1\1\6\0\0\0\0\0\1"));
    for (int i = 0; i < 4; i++) { /* 4 × 63 and the dots: 255 */
        text_add_char(&text, 63);
        for (int j = 0; j < 63; j++)
            text_add_char(&text, 'a');
    }
    text_add_char(&text, 0);
    room[21] = 1, room[22] = 7;
    assert_status(dns_read_srv(&arena, text_slice(&text), &a), INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_records),
        TEST(test_what_else_there_is),
        TEST(test_malformed),
        TEST(test_long_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
