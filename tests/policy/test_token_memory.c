#include "policy/token_memory.h"

#include <stdio.h>

#include "support/unit.h"

static struct token_memory memory;

static int set_up(void **state)
{
    (void)state;
    token_memory_init(&memory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    token_memory_release(&memory);
    return 0;
}

/* Adds one that takes about `size` bytes and ends at `until`. */
static void add(const char *text, int64_t until, size_t size)
{
    struct known_token *token;
    assert_ok(known_token_new(slice_of_text(text), &token));
    token->until = until;
    assert_non_null(arena_bytes(&token->arena, size));
    token_memory_add(&memory, token);
    known_token_unref(token);
}

static bool knows(const char *text, int64_t now)
{
    struct known_token *token = token_memory_find(&memory, slice_of_text(text), now);
    if (token)
        assert_slices(token->text, slice_of_text(text));
    known_token_unref(token);
    return token != NULL;
}

static void a_token_is_known_until_it_ends(void **state)
{
    (void)state;
    assert_false(knows("a", 0));
    add("a", 100, 1);
    assert_true(knows("a", 99));
    assert_false(knows("a", 100));
    assert_false(knows("a", 99)); /* it was forgotten then */
    assert_int_equal(memory.size, 0);
}

/* The signature alone does not make it the same. */
static void all_of_a_token_counts(void **state)
{
    (void)state;
#define END "0123456789012345678901234567890123456789"
    add("head.one." END, 100, 1);
    assert_false(knows("head.two." END, 0));
    assert_false(knows(END, 0));
    assert_true(knows("head.one." END, 0));
    add("head.two." END, 100, 1); /* takes the other's place */
    assert_true(knows("head.two." END, 0));
    assert_false(knows("head.one." END, 0));
}

static void what_is_not_used_goes_first(void **state)
{
    (void)state;
    char text[32];
    add("mine", 100, 50000);
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "%d", i);
        add(text, 100, 50000);
        assert_true(memory.size <= TOKEN_MEMORY_SIZE);
        assert_true(knows("mine", 0));
        assert_true(knows(text, 0));
    }
    assert_false(knows("0", 0));
    assert_true(memory.size > TOKEN_MEMORY_SIZE / 2);
}

static void a_large_token_is_not_remembered(void **state)
{
    (void)state;
    add("large", 100, TOKEN_MEMORY_LARGE);
    assert_false(knows("large", 0));
}

static void who_uses_a_token_keeps_it(void **state)
{
    (void)state;
    add("a", 100, 1);
    struct known_token *token = token_memory_find(&memory, SLICE("a"), 0);
    assert_non_null(token);
    assert_false(knows("a", 100));
    assert_slice(token->text, "a");
    known_token_unref(token);
}

static void another_epoch_knows_nothing(void **state)
{
    (void)state;
    add("a", 100, 1);
    add("b", 100, 1);
    token_memory_turn(&memory, 0);
    assert_true(knows("a", 0));
    token_memory_turn(&memory, 1);
    assert_false(knows("a", 0));
    assert_int_equal(memory.size, 0);
    add("a", 100, 1);
    token_memory_turn(&memory, 1);
    assert_true(knows("a", 0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token_is_known_until_it_ends),
        TEST(all_of_a_token_counts),
        TEST(what_is_not_used_goes_first),
        TEST(a_large_token_is_not_remembered),
        TEST(who_uses_a_token_keeps_it),
        TEST(another_epoch_knows_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
