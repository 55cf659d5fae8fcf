/* Records of TLS 1.3 alone: what is opened, what is refused, and which keys come after which. */
#include "run/tls_record.h"

#include <stdlib.h>
#include <string.h>

#include "support/unit.h"

static struct record_suite *suites;

static int make_suites(void **state)
{
    (void)state;
    suites = record_suites_new();
    return suites ? 0 : -1;
}

static int drop_suites(void **state)
{
    (void)state;
    record_suites_free(suites);
    return 0;
}

static const unsigned numbers[] = {0x1301, 0x1302, 0x1303};

#define NUMBERS (sizeof numbers / sizeof numbers[0])

static void half_of(struct record_half *half, unsigned number, uint64_t sequence, bool seals)
{
    static const char secret[48] = "as long as the longest digest, and no secret...";
    size_t size = number == 0x1302 ? 48 : 32;
    assert_ok(record_half_init(half, suites, number, slice_of(secret, size), sequence, seals));
}

/* Seals `inner`, which is content, type and padding; its last byte stands where the type would. */
static size_t seal(struct record_half *half, struct slice inner, char *out)
{
    struct slice most = slice_head(inner, inner.size - 1);
    assert_true(record_seal_begin(half, most.size, out));
    assert_true(!most.size || record_seal_piece(half, most, out + RECORD_HEADER));
    enum record_type last = (enum record_type)(unsigned char)inner.data[inner.size - 1];
    return record_seal_end(half, most.size, last, out);
}

/* --- an example that others made */

static size_t read_hexadecimal(const char *text, char *out)
{
    size_t size = 0;
    for (; text[0] && text[1]; text += 2, size++) {
        char digits[3] = {text[0], text[1]};
        out[size] = (char)strtoul(digits, NULL, 16);
    }
    return size;
}

/* The client's data in "Simple 1-RTT Handshake" (RFC 8448 §3): the bytes 0 to 49. */
static void the_standards_example_opens(void **state)
{
    char secret[32], record[128], plain[128];
    struct record_half half;
    enum record_type type;
    size_t size;
    (void)state;
    read_hexadecimal("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5", secret);
    size_t whole = read_hexadecimal(
        "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a"
        "20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4",
        record);
    assert_int_equal(whole, 72);
    assert_ok(record_half_init(&half, suites, 0x1301, slice_of(secret, sizeof secret), 0, false));
    assert_ok(record_open(&half, slice_of(record, whole), plain, &size, &type));
    assert_int_equal(type, RECORD_DATA);
    assert_int_equal(size, 50);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(plain[i], (char)i);
    record_half_release(&half);
}

/* The same connection's key and first nonce, as the standard prints them. */
static void what_is_told_is_the_standards_key(void **state)
{
    char secret[32], key[16], nonce[12];
    struct record_half half;
    struct record_keys keys;
    (void)state;
    read_hexadecimal("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5", secret);
    read_hexadecimal("17422dda596ed5d9acd890e3c63f5051", key);
    read_hexadecimal("5b78923dee08579033e523d9", nonce);
    assert_ok(record_half_init(&half, suites, 0x1301, slice_of(secret, sizeof secret), 7, true));
    assert_true(record_half_tell(&half, &keys));
    assert_int_equal(keys.suite, 0x1301);
    assert_int_equal(keys.key_size, 16);
    assert_memory_equal(keys.key, key, 16);
    assert_memory_equal(keys.nonce, nonce, 12);
    assert_int_equal(keys.sequence, 7);
    record_half_release(&half);
}

/* --- what goes in comes out */

static void every_suite_opens_what_it_seals(void **state)
{
    char record[RECORD_EXTRA + 100], plain[100];
    (void)state;
    for (size_t n = 0; n < NUMBERS; n++) {
        struct record_half seals, opens;
        enum record_type type;
        size_t size;
        half_of(&seals, numbers[n], UINT32_MAX, true);
        half_of(&opens, numbers[n], UINT32_MAX, false);
        for (int i = 0; i < 20; i++) {
            size_t whole = seal(&seals, SLICE("hello\x17"), record);
            assert_int_equal(whole, 5 + RECORD_EXTRA);
            assert_ok(record_open(&opens, slice_of(record, whole), plain, &size, &type));
            assert_slice(slice_of(plain, size), "hello");
            assert_int_equal(type, RECORD_DATA);
            if (i % 3 == 0) {
                assert_ok(record_half_update(&seals));
                assert_ok(record_half_update(&opens));
                assert_int_equal(seals.sequence, 0);
            }
        }
        record_half_release(&seals);
        record_half_release(&opens);
    }
}

static void unknown_suites_are_left_to_openssl(void **state)
{
    static const unsigned unknown[] = {0x1304, 0x1305, 0, 0xc02b};
    struct record_half half;
    (void)state;
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        char secret[32] = "";
        struct slice given = slice_of(secret, sizeof secret);
        assert_status(record_half_init(&half, suites, unknown[i], given, 0, true), NOT_FOUND);
        record_half_release(&half);
    }
    assert_status(record_half_init(&half, suites, 0x1302, SLICE("too short"), 0, true), NOT_FOUND);
    record_half_release(&half);
}

/* --- what is not genuine */

static enum status open_at(unsigned number, uint64_t sequence, struct slice record)
{
    struct record_half opens;
    char plain[200];
    enum record_type type;
    size_t size;
    half_of(&opens, number, sequence, false);
    enum status e = record_open(&opens, record, plain, &size, &type);
    record_half_release(&opens);
    return e;
}

static void each_bit_counts(void **state)
{
    char record[100];
    (void)state;
    for (size_t n = 0; n < NUMBERS; n++) {
        struct record_half seals;
        half_of(&seals, numbers[n], 7, true);
        struct slice sealed = slice_of(record, seal(&seals, SLICE("hello\x17"), record));
        record_half_release(&seals);
        assert_ok(open_at(numbers[n], 7, sealed));
        assert_status(open_at(numbers[n], 6, sealed), INVALID);
        assert_status(open_at(numbers[n], 8, sealed), INVALID);
        assert_status(open_at(numbers[n], 7 + ((uint64_t)1 << 32), sealed), INVALID);
        assert_status(open_at(numbers[(n + 1) % NUMBERS], 7, sealed), INVALID);
        for (size_t bit = 0; bit < sealed.size * 8; bit++) {
            record[bit / 8] ^= (char)(1 << bit % 8);
            assert_status(open_at(numbers[n], 7, sealed), INVALID);
            record[bit / 8] ^= (char)(1 << bit % 8);
        }
    }
}

/* --- padding and sizes (RFC 8446 §5.2, §5.4) */

static enum status open_inner(const char *inner, size_t inner_size, size_t *ret_size)
{
    struct record_half seals, opens;
    char *record = malloc(inner_size + RECORD_EXTRA), *plain = malloc(inner_size + RECORD_TAG);
    enum record_type type;
    half_of(&seals, 0x1301, 0, true);
    half_of(&opens, 0x1301, 0, false);
    struct slice sealed = slice_of(record, seal(&seals, slice_of(inner, inner_size), record));
    enum status e = record_open(&opens, sealed, plain, ret_size, &type);
    record_half_release(&seals);
    record_half_release(&opens);
    free(record);
    free(plain);
    return e;
}

static void padding_is_taken_off(void **state)
{
    char inner[RECORD_PLAIN_MAX + 2] = {[3] = RECORD_DATA};
    size_t size = 99;
    (void)state;
    memcpy(inner, "abc", 3);
    for (size_t whole = 4; whole <= RECORD_PLAIN_MAX + 1; whole += whole < 100 ? 1 : 1621) {
        assert_ok(open_inner(inner, whole, &size));
        assert_int_equal(size, 3);
    }
    assert_ok(open_inner(inner, RECORD_PLAIN_MAX + 1, &size));
    /* Padding does not make a record longer than it may be. */
    assert_status(open_inner(inner, RECORD_PLAIN_MAX + 2, &size), TOO_LARGE);
    memset(inner, RECORD_DATA, sizeof inner);
    assert_ok(open_inner(inner, RECORD_PLAIN_MAX + 1, &size));
    assert_int_equal(size, RECORD_PLAIN_MAX);
    assert_status(open_inner(inner, RECORD_PLAIN_MAX + 2, &size), TOO_LARGE);
}

static void nothing_but_padding_has_no_type(void **state)
{
    char inner[RECORD_PLAIN_MAX + 1] = "";
    size_t size = 99;
    (void)state;
    assert_status(open_inner(inner, 1, &size), NOT_FOUND);
    assert_status(open_inner(inner, 100, &size), NOT_FOUND);
    assert_status(open_inner(inner, sizeof inner, &size), NOT_FOUND);
    assert_int_equal(size, 99);
}

static void assert_measure(const char *header, enum status expected, size_t size)
{
    size_t found = 0;
    assert_status(record_measure(slice_of(header, 5), &found), expected);
    assert_int_equal(found, size);
}

static void headers_are_measured(void **state)
{
    size_t size = 0;
    (void)state;
    for (size_t i = 0; i < RECORD_HEADER; i++)
        assert_status(record_measure(slice_of("\x17\x03\x03\x00", i), &size), INCOMPLETE);
    assert_measure("\x17\x03\x03\x00\x11", OK, 5 + 17);
    assert_measure("\x17\x03\x03\x00\x10", INVALID, 0);
    assert_measure("\x17\x03\x03\x00\x00", INVALID, 0);
    assert_measure("\x17\x03\x03\x41\x00", OK, 5 + 0x4100);
    assert_measure("\x17\x03\x03\x41\x01", TOO_LARGE, 0);
    assert_measure("\x17\x03\x03\xff\xff", TOO_LARGE, 0);
    assert_measure("\x14\x03\x03\x00\x01", INVALID, 0);
    assert_measure("\x15\x03\x03\x00\x02", INVALID, 0);
    assert_measure("\x16\x03\x03\x00\x20", INVALID, 0);
    assert_measure("\x17\x03\x04\x00\x20", INVALID, 0);
}

/* AES-GCM is safe for 2^24.5 records under one key (RFC 8446 §5.5). */
static void keys_wear_out(void **state)
{
    struct record_half half;
    (void)state;
    half_of(&half, 0x1301, 0, true);
    assert_false(record_half_is_worn(&half));
    half.sequence = (uint64_t)1 << 24;
    assert_true(record_half_is_worn(&half));
    assert_ok(record_half_update(&half));
    assert_false(record_half_is_worn(&half));
    record_half_release(&half);
    for (size_t i = 0; i < sizeof half.secret; i++)
        assert_int_equal(half.secret[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_standards_example_opens),
        cmocka_unit_test(what_is_told_is_the_standards_key),
        cmocka_unit_test(every_suite_opens_what_it_seals),
        cmocka_unit_test(unknown_suites_are_left_to_openssl),
        cmocka_unit_test(each_bit_counts),
        cmocka_unit_test(padding_is_taken_off),
        cmocka_unit_test(nothing_but_padding_has_no_type),
        cmocka_unit_test(headers_are_measured),
        cmocka_unit_test(keys_wear_out),
    };
    return cmocka_run_group_tests(tests, make_suites, drop_suites);
}
