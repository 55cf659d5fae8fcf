#include "http/websocket.h"

#include "support/unit.h"

#define MASK "\x37\xfa\x21\x3d"

struct reading {
    enum status status;
    uint16_t code;
    unsigned heads, controls;
    size_t used;
};

static struct reading read_with(struct websocket_reader *reader, struct slice bytes)
{
    struct reading reading = {0};
    struct websocket_piece piece;
    while (!(reading.status = websocket_read(reader, slice_from(bytes, reading.used), &piece))) {
        reading.used += piece.size;
        reading.heads += piece.kind == WEBSOCKET_DATA_HEAD;
        reading.controls += piece.kind == WEBSOCKET_CONTROL;
    }
    reading.code = reader->code;
    return reading;
}

static struct reading read_bytes(bool is_masked, bool may_compress, struct slice bytes)
{
    struct websocket_reader reader;
    websocket_reader_init(&reader, is_masked, may_compress, 100000);
    return read_with(&reader, bytes);
}

static void examples_of_the_standard_are_read(void **state) /* RFC 6455 §5.7 */
{
    (void)state;
    struct reading text = read_bytes(false, false, SLICE("\x81\x05Hello"));
    assert_int_equal(text.status, INCOMPLETE);
    assert_int_equal(text.used, 7);
    assert_int_equal(text.heads, 1);
    struct reading masked = read_bytes(true, false, SLICE("\x81\x85" MASK "\x7f\x9f\x4d\x51\x58"));
    assert_int_equal(masked.used, 11);
    struct reading fragments =
        read_bytes(false, false, SLICE("\x01\x03Hel\x89\x01p\x80\x02lo\x8a\x00"));
    assert_int_equal(fragments.used, 14);
    assert_int_equal(fragments.heads, 2);
    assert_int_equal(fragments.controls, 2);
    struct reading large = read_bytes(false, false, SLICE("\x82\x7f\0\0\0\0\0\x01\0\0abc"));
    assert_int_equal(large.used, 13);
}

static void what_breaks_the_rules_is_refused(void **state)
{
    (void)state;
    static const struct slice broken[] = {
        SLICE_INIT("\x91\x00"), /* RSV3 */
        SLICE_INIT("\xa1\x00"), /* RSV2 */
        SLICE_INIT("\xc1\x00"), /* RSV1 without an agreement */
        SLICE_INIT("\x83\x00"), /* opcodes without a meaning */
        SLICE_INIT("\x87\x00"), SLICE_INIT("\x8b\x00"), SLICE_INIT("\x8f\x00"),
        SLICE_INIT("\x80\x00"),                     /* continues nothing */
        SLICE_INIT("\x01\x00\x81\x00"),             /* a message within another */
        SLICE_INIT("\x09\x00"),                     /* a ping in fragments */
        SLICE_INIT("\x89\x7e\x00\x7e"),             /* a long ping */
        SLICE_INIT("\x81\x85" MASK "Hello"),        /* masked by a server */
        SLICE_INIT("\x82\x7e\x00\x7d"),             /* 125 in 16 bits */
        SLICE_INIT("\x82\x7f\0\0\0\0\0\0\xff\xff"), /* 65535 in 64 bits */
        SLICE_INIT("\x82\x7f\x80\0\0\0\0\0\0\0"),   /* over 63 bits */
        SLICE_INIT("\xc9\x00"),                     /* a compressed ping */
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct reading reading = read_bytes(false, false, broken[i]);
        assert_int_equal(reading.status, INVALID);
        assert_int_equal(reading.code, 1002);
    }
    assert_int_equal(read_bytes(true, false, SLICE("\x81\x05Hello")).status, INVALID);
    assert_int_equal(read_bytes(false, true, SLICE("\x01\x00\xc0\x00")).status, INVALID);
    assert_int_equal(read_bytes(false, true, SLICE("\xc1\x00")).status, INCOMPLETE);
}

static void messages_have_a_limit_however_they_are_cut(void **state)
{
    (void)state;
    struct websocket_reader reader;
    websocket_reader_init(&reader, false, false, 10);
    struct reading reading = read_with(&reader, SLICE("\x82\x0a"
                                                      "0123456789"
                                                      "\x02\x06"
                                                      "012345"
                                                      "\x80\x05"));
    assert_int_equal(reading.status, TOO_LARGE);
    assert_int_equal(reading.code, 1009);
    assert_int_equal(reading.used, 20);
    websocket_reader_init(&reader, false, false, 10);
    reading = read_with(&reader, SLICE("\x02\x06"
                                       "012345"
                                       "\x80\x04"
                                       "0123"));
    assert_int_equal(reading.status, INCOMPLETE);
}

static void a_control_frame_is_read_as_a_whole(void **state)
{
    (void)state;
    struct websocket_reader reader;
    struct websocket_piece piece;
    char frame[WEBSOCKET_FRAME_ROOM];
    size_t size = websocket_write_close(1000, SLICE("bye"), (const unsigned char *)MASK, frame);
    websocket_reader_init(&reader, true, false, 0);
    for (size_t have = 0; have < size; have++)
        assert_int_equal(websocket_read(&reader, slice_of(frame, have), &piece), INCOMPLETE);
    assert_ok(websocket_read(&reader, slice_of(frame, size), &piece));
    assert_int_equal(piece.opcode, WEBSOCKET_CLOSE);
    uint16_t code;
    struct slice payload = slice_of(piece.payload, piece.payload_size);
    assert_ok(websocket_read_close(payload, &code));
    assert_int_equal(code, 1000);
    assert_slice(slice_from(payload, 2), "bye");
}

static void codes_of_close_frames_are_checked(void **state)
{
    (void)state;
    static const struct {
        struct slice payload;
        enum status status;
        uint16_t code;
    } cases[] = {
        {SLICE_INIT(""), OK, 1005},
        {SLICE_INIT("\x03\xe8"), OK, 1000},
        {SLICE_INIT("\x03\xf6gateway"), OK, 1014},
        {SLICE_INIT("\x0b\xb8"), OK, 3000},
        {SLICE_INIT("\x13\x87"), OK, 4999},
        {SLICE_INIT("\x03"), INVALID, 1002},
        {SLICE_INIT("\x03\xe7"), INVALID, 1002}, /* 999 */
        {SLICE_INIT("\x03\xed"), INVALID, 1002}, /* 1005 */
        {SLICE_INIT("\x03\xf7"), INVALID, 1002}, /* 1015 */
        {SLICE_INIT("\x0b\xb7"), INVALID, 1002}, /* 2999 */
        {SLICE_INIT("\x13\x88"), INVALID, 1002}, /* 5000 */
        {SLICE_INIT("\x03\xe8\xff"), INVALID, 1007},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint16_t code;
        assert_int_equal(websocket_read_close(cases[i].payload, &code), cases[i].status);
        assert_int_equal(code, cases[i].code);
    }
}

static void a_reason_is_cut_to_fit(void **state)
{
    (void)state;
    char reason[200], frame[WEBSOCKET_FRAME_ROOM];
    memset(reason, 'x', sizeof reason);
    assert_int_equal(
        websocket_write_close(1001, slice_of(reason, sizeof reason), NULL, frame), 127);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_standard_are_read),
        cmocka_unit_test(what_breaks_the_rules_is_refused),
        cmocka_unit_test(messages_have_a_limit_however_they_are_cut),
        cmocka_unit_test(a_control_frame_is_read_as_a_whole),
        cmocka_unit_test(codes_of_close_frames_are_checked),
        cmocka_unit_test(a_reason_is_cut_to_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
