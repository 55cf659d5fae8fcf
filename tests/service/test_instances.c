/* Instances that register themselves: what a process hands to the one that takes its place. */
#include "service/instances.h"

#include "run/loop.h"
#include "support/on_loop.h"
#include "support/service_rig.h"

static struct instances *obtain(struct rig *rig, const char *service)
{
    struct instances *instances = NULL;
    assert_ok(instances_obtain(rig->plane, slice_of_text(service), SLICE_NONE, &instances));
    return instances;
}

static void put(struct instances *instances, const char *id, const char *said)
{
    struct text trouble = text_fixed(NULL, 0);
    bool is_new;
    assert_ok(instances_put(instances, slice_of_text(id), slice_of_text(said), &trouble, &is_new));
    assert_true(is_new);
}

static struct text listed(const struct instances *instances)
{
    struct text text = text_growing(0);
    struct json_writer w;
    json_writer_init(&w, &text, 0);
    instances_write(instances, &w);
    return text;
}

static void assert_listed(const struct instances *instances, struct slice wanted)
{
    struct text text = listed(instances);
    assert_slices(text_slice(&text), wanted);
    text_release(&text);
}

#define NOBODY "{\"service\":\"user\",\"index\":1,\"instances\":[]}"

/* In pieces, as messages bring it. */
static void restore(struct rig *rig, struct slice text)
{
    for (; text.size; text = slice_from(text, 7))
        instances_restore(rig->plane, slice_head(text, 7));
}

static void test_a_successor_knows_them(void **state)
{
    struct rig *rig = *state;
    struct text saved = text_growing(0);
    struct instances *user = obtain(rig, "user"), *cart = obtain(rig, "cart");
    put(user, "a", "{\"address\":\"10.0.0.1:80\",\n\"weight\":3,\"lease\":\"1h\"}");
    put(cart, "b", "{\"address\":\"10.0.0.2:80\"}");
    assert_ok(instances_remove(cart, SLICE("b")));
    struct text before = listed(user);
    instances_save(rig->plane, &saved);
    instances_unref(user);
    instances_unref(cart);
    assert_null(instances_find(rig->plane, SLICE("user")));

    restore(rig, text_slice(&saved));
    user = obtain(rig, "user");
    cart = obtain(rig, "cart");
    assert_listed(user, text_slice(&before));
    assert_int_equal(instances_index(user), 2);
    assert_int_equal(instances_index(cart), 3);
    instances_unref(user);
    user = obtain(rig, "user");
    assert_listed(user, SLICE(NOBODY)); /* who comes again is a service anew */
    instances_unref(user);
    instances_unref(cart);
    text_release(&before);
    text_release(&saved);
}

static void restore_one(struct rig *rig, const char *id, instant until)
{
    struct text line = text_growing(0);
    text_format(&line,
        "{\"service\":\"user\",\"id\":\"%s\",\"until\":%lld,\"said\":"
        "\"{\\\"address\\\":\\\"10.0.0.1:80\\\",\\\"lease\\\":\\\"1s\\\"}\"}\n",
        id, (long long)until);
    restore(rig, text_slice(&line));
    text_release(&line);
}

/* The rest of a lease is what is left of it, and no more than it says itself. */
static void test_leases_go_on(void **state)
{
    struct rig *rig = *state;
    restore_one(rig, "over", loop_now());
    restore_one(rig, "soon", loop_now() + 10 * MILLISECOND);
    restore_one(rig, "late", NEVER - 1);
    struct instances *user = obtain(rig, "user");
    instant began = loop_now();
    uint64_t index = instances_index(user);
    assert_int_equal(index, 1);
    assert_ok(instances_wait(user, index, NEVER)); /* "soon" ends */
    while (instances_index(user) < 3)
        assert_ok(instances_wait(user, instances_index(user), NEVER));
    assert_true(loop_now() - began >= SECOND); /* and "late" when its lease does */
    instances_unref(user);
}

static void test_what_makes_no_sense(void **state)
{
    struct rig *rig = *state;
    const char *lines[] = {"{\"service\":\"user\",\"index\":-3}\n", "{\"service\":\"user\",\n",
        "{\"service\":\"user\",\"id\":\"a\"}\n", "nonsense\n\n",
        "{\"service\":\"user\",\"id\":\"a\",\"until\":9000000000000000000,\"said\":\"x\"}\n",
        "{\"service\":\"users\",\"index\":9}\n", "{\"service\":\"user\",\"index\":7,\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        restore(rig, slice_of_text(lines[i]));
    restore_one(rig, "a b", NEVER - 1);
    struct instances *user = obtain(rig, "user");
    assert_listed(user, SLICE(NOBODY));
    instances_unref(user);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

static int run_all(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_successor_knows_them),
        TEST(test_leases_go_on),
        TEST(test_what_makes_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
