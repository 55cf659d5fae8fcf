#include "base/octets.h"

#include "support/unit.h"

static void hexadecimal_digits_are_bytes(void **state)
{
    (void)state;
    unsigned char bytes[3];
    assert_true(octets_read_hex(SLICE("00fFa5"), bytes, 3));
    assert_memory_equal(bytes, "\x00\xff\xa5", 3);
    assert_true(octets_read_hex(SLICE(""), bytes, 0));
    static const char *const bad[] = {"", "00ff", "00ffa", "00ffa5a", "00ffa50", "00ffa5a5",
        "00ffg5", "00ff 5", "0x00ff", "-0ffa5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(octets_read_hex(slice_of_text(bad[i]), bytes, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hexadecimal_digits_are_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
