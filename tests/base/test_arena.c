#include "base/arena.h"

#include <stdio.h>

#include "support/unit.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

static bool is_aligned(const void *p)
{
    return (uintptr_t)p % _Alignof(max_align_t) == 0;
}

static void items_are_aligned_and_apart(void **state)
{
    (void)state;
    struct arena arena;
    char *items[1000];
    arena_init(&arena, 0, 0);
    for (size_t i = 0; i < 1000; i++) {
        arena_bytes(&arena, 1 + i % 3);
        items[i] = arena_alloc(&arena, 1 + i % 50);
        assert_true(is_aligned(items[i]));
        memset(items[i], (int)i, 1 + i % 50);
    }
    for (size_t i = 0; i < 1000; i++)
        for (size_t j = 0; j < 1 + i % 50; j++)
            assert_int_equal(items[i][j], (char)i);
    arena_release(&arena);
}

static void nothing_asked_is_something(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0, 0);
    void *a = arena_alloc(&arena, 0), *b = arena_alloc(&arena, 0);
    assert_non_null(a);
    assert_ptr_not_equal(a, b);
    assert_non_null(arena_copy(&arena, SLICE_NONE).data);
    assert_non_null(arena_array(&arena, 0, 8));
    arena_release(&arena);
}

static void big_ones_leave_the_block_in_use(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1024, 0);
    char *first = arena_bytes(&arena, 8);
    char *big = arena_alloc(&arena, 100000);
    memset(big, 1, 100000);
    char *second = arena_bytes(&arena, 8);
    assert_in_range(second - first, 8, 64);
    assert_true(is_aligned(big));
    arena_release(&arena);
    /* Also when a big one is the very first. */
    big = arena_alloc(&arena, 5000);
    memset(big, 1, 5000);
    memset(arena_alloc(&arena, 8), 2, 8);
    assert_int_equal(big[4999], 1);
    arena_release(&arena);
}

static void the_limit_holds(void **state)
{
    (void)state;
    struct arena arena;
    size_t count = 0;
    arena_init(&arena, 4096, 10000);
    while (arena_alloc(&arena, 100))
        count++;
    assert_in_range(count, 60, 100);
    assert_true(arena.used <= 10000);
    assert_null(arena_alloc(&arena, 20000));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 16));
    assert_null(arena_array(&arena, SIZE_MAX / 2, 3));
    arena_release(&arena);
    assert_non_null(arena_alloc(&arena, 100));
    assert_int_equal(arena.limit, 10000);
    arena_release(&arena);
}

/* A limit below the size of a block still lets small things through. */
static void a_small_limit_is_used(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096, 1000);
    assert_non_null(arena_alloc(&arena, 100));
    assert_null(arena_alloc(&arena, 1000));
    arena_release(&arena);
}

static void a_tiny_block_size_is_raised(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1, 0);
    for (int i = 0; i < 100; i++)
        memset(arena_alloc(&arena, 40), i, 40);
    assert_true(arena.used < 100000);
    arena_release(&arena);
}

static void a_lent_block_comes_first(void **state)
{
    (void)state;
    struct arena arena;
    char memory[1024];
    for (size_t shift = 0; shift < 16; shift++) {
        arena_init(&arena, 0, 0);
        arena_lend(&arena, memory + shift, sizeof memory - shift);
        char *item = arena_alloc(&arena, 500);
        assert_true(is_aligned(item));
        assert_true(item > memory && item + 500 <= memory + sizeof memory);
        memset(item, 1, 500);
        assert_int_equal(arena.used, 0);
        assert_non_null(arena_alloc(&arena, 800));
        assert_int_not_equal(arena.used, 0);
        arena_release(&arena);
        memset(memory, 0, sizeof memory); /* ours again, nothing is poisoned */
    }
}

static void too_small_a_block_is_not_used(void **state)
{
    (void)state;
    struct arena arena;
    char memory[40];
    for (size_t size = 0; size <= sizeof memory; size++) {
        arena_init(&arena, 0, 0);
        arena_lend(&arena, memory, size);
        memset(arena_alloc(&arena, 16), 1, 16);
        arena_release(&arena);
    }
}

static struct text_of_runs {
    char letters[16];
    size_t size;
} runs;

static void note(void *argument)
{
    runs.letters[runs.size++] = *(const char *)argument;
}

static void note_and_defer(void *argument)
{
    note("b");
    assert_true(arena_defer(argument, note, "c"));
}

static void what_was_deferred_runs_last_first(void **state)
{
    (void)state;
    struct arena arena;
    runs.size = 0;
    arena_init(&arena, 0, 0);
    assert_true(arena_defer(&arena, note, "d"));
    assert_true(arena_defer(&arena, note_and_defer, &arena));
    assert_true(arena_defer(&arena, note, "a"));
    arena_release(&arena);
    assert_slice(slice_of(runs.letters, runs.size), "abcd");
    arena_release(&arena);
    assert_int_equal(runs.size, 4);
}

static void what_is_owned_is_released_sooner_or_later(void **state)
{
    (void)state;
    struct arena arena;
    runs.size = 0;
    arena_init(&arena, 0, 0);
    assert_ok(arena_own(&arena, note, "b"));
    assert_int_equal(runs.size, 0);
    arena_release(&arena);
    arena_init(&arena, 0, 1);
    assert_status(arena_own(&arena, note, "a"), NO_MEMORY);
    assert_slice(slice_of(runs.letters, runs.size), "ba");
    arena_release(&arena);
    assert_int_equal(runs.size, 2);
}

static void without_memory_nothing_is_deferred(void **state)
{
    (void)state;
    struct arena arena;
    runs.size = 0;
    arena_init(&arena, 0, 1);
    assert_false(arena_defer(&arena, note, "a"));
    assert_null(arena_copy(&arena, SLICE("x")).data);
    assert_null(arena_text(&arena, SLICE("x")));
    assert_null(arena_format(&arena, "%d", 1).data);
    assert_null(arena_join(&arena, (struct slice[]){SLICE("x")}, 1).data);
    assert_null(arena_zalloc(&arena, 1));
    arena_release(&arena);
    assert_int_equal(runs.size, 0);
}

static void texts_are_copied(void **state)
{
    (void)state;
    struct arena arena;
    char source[] = "abc";
    arena_init(&arena, 0, 0);
    struct slice copy = arena_copy(&arena, slice_of(source, 3));
    char *text = arena_text(&arena, slice_of(source, 2));
    source[0] = 'x';
    assert_slice(copy, "abc");
    assert_string_equal(text, "ab");
    struct slice formatted = arena_format(&arena, "%s-%d", "n", 42);
    assert_slice(formatted, "n-42");
    assert_int_equal(formatted.data[4], '\0');
    struct slice parts[] = {SLICE("a"), SLICE_NONE, SLICE("bc")};
    assert_slice(arena_join(&arena, parts, 3), "abc");
    assert_slice(arena_join(&arena, NULL, 0), "");
    int *numbers = arena_array(&arena, 100, sizeof *numbers);
    for (int i = 0; i < 100; i++)
        assert_int_equal(numbers[i], 0);
    arena_release(&arena);
}

#if defined(__SANITIZE_ADDRESS__)
static void unused_space_is_poisoned(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0, 0);
    for (size_t size = 1; size < 100; size++) {
        char *item = arena_alloc(&arena, size);
        assert_false(__asan_address_is_poisoned(item));
        assert_false(__asan_address_is_poisoned(item + size - 1));
        assert_true(__asan_address_is_poisoned(item + size));
        char *behind = arena_alloc(&arena, 8);
        assert_false(__asan_address_is_poisoned(behind));
        assert_true(__asan_address_is_poisoned(item + size));
    }
    arena_release(&arena);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_aligned_and_apart),
        cmocka_unit_test(nothing_asked_is_something),
        cmocka_unit_test(big_ones_leave_the_block_in_use),
        cmocka_unit_test(the_limit_holds),
        cmocka_unit_test(a_small_limit_is_used),
        cmocka_unit_test(a_tiny_block_size_is_raised),
        cmocka_unit_test(a_lent_block_comes_first),
        cmocka_unit_test(too_small_a_block_is_not_used),
        cmocka_unit_test(what_was_deferred_runs_last_first),
        cmocka_unit_test(what_is_owned_is_released_sooner_or_later),
        cmocka_unit_test(without_memory_nothing_is_deferred),
        cmocka_unit_test(texts_are_copied),
#if defined(__SANITIZE_ADDRESS__)
        cmocka_unit_test(unused_space_is_poisoned),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
