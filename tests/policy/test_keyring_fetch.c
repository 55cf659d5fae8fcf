#include "policy/keyring_fetch.h"

#include "support/unit.h"

static void a_life_is_read_from_cache_control(void **state)
{
    static const struct {
        const char *text;
        int64_t life;
    } rows[] = {
        {"max-age=60", 60 * SECOND},
        {"public, Max-Age=3600 , must-revalidate", HOUR},
        {"no-store", 0},
        {"", 0},
        {"max-age", 0},
        {"max-age=", 0},
        {"max-age=-1", 0},
        {"max-age=99999999999999999999", 0},
        {"max-age=9999999999", 0},
        {"s-maxage=5", 0},
        {"x=\"max-age=5\"", 0},
        {"max-age=x, max-age=7", 7 * SECOND},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(keyring_life_of(slice_of_text(rows[i].text)), rows[i].life);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_is_read_from_cache_control),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
