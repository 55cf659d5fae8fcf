#include "jose/seal.h"

#include <stdlib.h>

#include "base/base64.h"
#include "support/arena_fixture.h"
#include "support/unit.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

#define OLD        SLICE_INIT("the old secret, of more than thirty-two bytes")
#define NEW        SLICE_INIT("the new secret, of more than thirty-two bytes")
#define SESSION    SLICE("session")

static struct sealer sealer_of(const struct slice *secrets, size_t count, struct slice purpose)
{
    struct sealer sealer;
    const char *why;
    assert_ok(sealer_init(&sealer, secrets, count, purpose, &why));
    return sealer;
}

static void what_is_sealed_comes_back(void **state)
{
    (void)state;
    const struct slice secret = NEW;
    const struct sealer sealer = sealer_of(&secret, 1, SESSION);
    for (size_t size = 0; size < 5000; size = size * 2 + 1) {
        struct slice text, again, bytes, plain = slice_of(arena_array(&arena, size + 1, 1), size);
        assert_ok(seal(&sealer, &arena, plain, &text));
        assert_ok(seal(&sealer, &arena, plain, &again));
        assert_false(slice_equal(text, again)); /* each has a salt of its own */
        assert_ok(unseal(&sealer, &arena, text, &bytes));
        assert_slices(bytes, plain);
    }
}

static void a_change_anywhere_is_seen(void **state)
{
    (void)state;
    const struct slice secret = NEW;
    const struct sealer sealer = sealer_of(&secret, 1, SESSION);
    struct slice text, bytes;
    assert_ok(seal(&sealer, &arena, SLICE("who"), &text));
    for (size_t i = 0; i < text.size; i++) {
        char *changed = arena_text(&arena, text);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_status(unseal(&sealer, &arena, slice_of(changed, text.size), &bytes), INVALID);
        assert_status(unseal(&sealer, &arena, slice_head(text, i), &bytes), INVALID);
    }
    assert_ok(unseal(&sealer, &arena, text, &bytes));
}

static void secrets_rotate(void **state)
{
    (void)state;
    const struct slice both[] = {NEW, OLD};
    const struct sealer before = sealer_of(&both[1], 1, SESSION),
                        between = sealer_of(both, 2, SESSION), after = sealer_of(both, 1, SESSION);
    struct slice old, new, bytes;
    assert_ok(seal(&before, &arena, SLICE("x"), &old));
    assert_ok(seal(&between, &arena, SLICE("x"), &new));
    assert_ok(unseal(&between, &arena, old, &bytes));
    assert_ok(unseal(&between, &arena, new, &bytes));
    assert_ok(unseal(&after, &arena, new, &bytes));
    assert_status(unseal(&after, &arena, old, &bytes), INVALID);
    assert_status(unseal(&before, &arena, new, &bytes), INVALID);
}

static void purposes_do_not_mix(void **state)
{
    (void)state;
    const struct slice secret = NEW;
    const struct sealer session = sealer_of(&secret, 1, SESSION),
                        attempt = sealer_of(&secret, 1, SLICE("attempt"));
    struct slice text, bytes;
    assert_ok(seal(&session, &arena, SLICE("x"), &text));
    assert_status(unseal(&attempt, &arena, text, &bytes), INVALID);
}

static void poor_secrets_are_refused(void **state)
{
    (void)state;
    struct slice secrets[SEAL_SECRETS_MAX + 1];
    struct sealer sealer;
    const char *why;
    for (size_t i = 0; i <= SEAL_SECRETS_MAX; i++)
        secrets[i] = (struct slice)NEW;
    assert_status(sealer_init(&sealer, secrets, 0, SESSION, &why), INVALID);
    assert_string_equal(why, "there is none");
    assert_status(sealer_init(&sealer, secrets, SEAL_SECRETS_MAX + 1, SESSION, &why), INVALID);
    assert_string_equal(why, "there are more than 8");
    assert_ok(sealer_init(&sealer, secrets, SEAL_SECRETS_MAX, SESSION, &why));
    secrets[1].size = SEAL_SECRET_MIN - 1;
    assert_status(sealer_init(&sealer, secrets, 2, SESSION, &why), INVALID);
    assert_string_equal(why, "a secret has at least 32 bytes");
}

static void what_is_too_large_is_refused(void **state)
{
    (void)state;
    const struct slice secret = NEW;
    const struct sealer sealer = sealer_of(&secret, 1, SESSION);
    struct slice plain = slice_of(arena_array(&arena, SEAL_SIZE_MAX, 1), SEAL_SIZE_MAX), text;
    assert_status(seal(&sealer, &arena, plain, &text), TOO_LARGE);
    size_t most = SEAL_SIZE_MAX / 4 * 3 - 41; /* a version, a salt and a tag go with it */
    assert_status(seal(&sealer, &arena, slice_head(plain, most + 1), &text), TOO_LARGE);
    assert_ok(seal(&sealer, &arena, slice_head(plain, most), &text));
    assert_int_equal(text.size, SEAL_SIZE_MAX);
    assert_ok(unseal(&sealer, &arena, text, &plain));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_sealed_comes_back),
        TEST(a_change_anywhere_is_seen),
        TEST(secrets_rotate),
        TEST(purposes_do_not_mix),
        cmocka_unit_test(poor_secrets_are_refused),
        TEST(what_is_too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
