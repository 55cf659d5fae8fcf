#include "base/registry.h"

#include <stdlib.h>

#include "support/unit.h"

struct counter {
    int64_t value;
    char *note; /* owned */
};

static int made, released;

static enum status init(void *object, void *context)
{
    struct counter *counter = object;
    if (context == &made)
        return INVALID;
    assert_int_equal(counter->value, 0);
    assert_int_equal((uintptr_t)object % 64, 0);
    counter->note = malloc(1);
    made++;
    return OK;
}

static void release(void *object)
{
    free(((struct counter *)object)->note);
    released++;
}

static const struct registry_kind limits = {"limit", sizeof(struct counter), init, release};
static const struct registry_kind caches = {"cache", 100, NULL, NULL};

static int set_up(void **state)
{
    made = released = 0;
    *state = registry_new();
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    registry_free(*state);
    return 0;
}

static void an_object_outlives_its_first_user(void **state)
{
    void *old, *new;
    assert_ok(registry_obtain(*state, &limits, SLICE("login"), NULL, &old));
    ((struct counter *)old)->value = 42;
    assert_ok(registry_obtain(*state, &limits, SLICE("login"), NULL, &new));
    assert_ptr_equal(old, new);
    assert_int_equal(made, 1);
    registry_release(old);
    assert_int_equal(released, 0);
    assert_int_equal(((struct counter *)new)->value, 42);
    registry_release(new);
    assert_int_equal(released, 1);
    assert_int_equal(registry_count(*state), 0);
}

static void a_later_one_is_new(void **state)
{
    void *object;
    for (int i = 0; i < 2; i++) {
        assert_ok(registry_obtain(*state, &limits, SLICE("login"), NULL, &object));
        ((struct counter *)object)->value = 42;
        registry_release(object);
    }
    assert_int_equal(made, 2);
    assert_int_equal(released, 2);
}

static void kinds_and_names_are_told_apart(void **state)
{
    void *a, *b, *c;
    assert_ok(registry_obtain(*state, &limits, SLICE("a"), NULL, &a));
    assert_ok(registry_obtain(*state, &limits, SLICE("b"), NULL, &b));
    assert_ok(registry_obtain(*state, &caches, SLICE("a"), NULL, &c));
    assert_ptr_not_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_int_equal(registry_count(*state), 3);
    registry_release(a);
    registry_release(b);
    registry_release(c);
}

/* A kind's name and an object's do not run into each other. */
static void names_do_not_run_together(void **state)
{
    static const struct registry_kind ab = {"ab", 1, NULL, NULL}, a = {"a", 1, NULL, NULL};
    static const struct registry_kind ac = {"ac", 1, NULL, NULL};
    void *first, *second, *third, *fourth;
    assert_ok(registry_obtain(*state, &ab, SLICE("c"), NULL, &first));
    assert_ok(registry_obtain(*state, &a, SLICE("bc"), NULL, &second));
    assert_ok(registry_obtain(*state, &ab, SLICE(""), NULL, &third));
    assert_ok(registry_obtain(*state, &ac, SLICE("c"), NULL, &fourth));
    assert_int_equal(registry_count(*state), 4);
    registry_release(first);
    registry_release(second);
    registry_release(third);
    registry_release(fourth);
}

static void an_object_has_its_whole_size(void **state)
{
    void *object;
    assert_ok(registry_obtain(*state, &caches, SLICE("a"), NULL, &object));
    memset(object, 0xff, caches.size);
    registry_release(object);
}

static void a_failed_init_leaves_nothing(void **state)
{
    void *object = &made;
    assert_status(registry_obtain(*state, &limits, SLICE("x"), &made, &object), INVALID);
    assert_ptr_equal(object, &made);
    assert_int_equal(released, 0);
    assert_int_equal(registry_count(*state), 0);
    registry_release(NULL);
}

static enum status init_nested(void *object, void *context)
{
    return registry_obtain(context, &limits, SLICE("inner"), NULL, object);
}

static void release_nested(void *object)
{
    registry_release(*(void **)object);
}

static void an_init_may_obtain(void **state)
{
    static const struct registry_kind outer = {
        "outer", sizeof(void *), init_nested, release_nested};
    void *object;
    assert_ok(registry_obtain(*state, &outer, SLICE("o"), *state, &object));
    assert_int_equal(registry_count(*state), 2);
    registry_release(object);
    assert_int_equal(registry_count(*state), 0);
    assert_int_equal(released, 1);
}

static void free_in_use(void)
{
    void *object;
    struct registry *registry = registry_new();
    (void)registry_obtain(registry, &caches, SLICE("a"), NULL, &object);
    registry_free(registry);
}

static void freeing_what_is_in_use_is_a_bug(void **state)
{
    (void)state;
    assert_aborts(free_in_use);
    registry_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_object_outlives_its_first_user),
        TEST(a_later_one_is_new),
        TEST(kinds_and_names_are_told_apart),
        TEST(names_do_not_run_together),
        TEST(an_object_has_its_whole_size),
        TEST(a_failed_init_leaves_nothing),
        TEST(an_init_may_obtain),
        TEST(freeing_what_is_in_use_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
