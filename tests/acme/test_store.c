#include "acme/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "support/unit.h"

struct fixture {
    char folder[64];
    struct acme_store *store;
    struct arena arena;
};

static int set_up(void **state)
{
    static struct fixture f;
    snprintf(f.folder, sizeof f.folder, "/tmp/weir-acme-XXXXXX");
    assert_non_null(mkdtemp(f.folder));
    assert_ok(acme_store_open(slice_of_text(f.folder), &f.store));
    arena_init(&f.arena, 0, 0);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];
    acme_store_free(f->store);
    arena_release(&f->arena);
    snprintf(command, sizeof command, "rm -r %s", f->folder);
    return system(command); /* NOLINT: a folder of our own */
}

static void what_was_put_is_there(void **state)
{
    struct fixture *f = *state;
    struct slice value;
    const struct acme_store_ops *ops = f->store->ops;
    assert_status(ops->get(f->store, SLICE("a/b"), &f->arena, &value), NOT_FOUND);
    assert_ok(ops->put(f->store, SLICE("a/b"), SLICE("one")));
    assert_ok(ops->put(f->store, SLICE("a/b"), SLICE("two")));
    assert_ok(ops->get(f->store, SLICE("a/b"), &f->arena, &value));
    assert_slice(value, "two");
    ops->drop(f->store, SLICE("a/b"));
    ops->drop(f->store, SLICE("a/b"));
    assert_status(ops->get(f->store, SLICE("a/b"), &f->arena, &value), NOT_FOUND);
}

static void it_is_for_nobody_else(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct stat facts;
    assert_ok(f->store->ops->put(f->store, SLICE("a/key"), SLICE("secret")));
    snprintf(path, sizeof path, "%s/a/key", f->folder);
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
    snprintf(path, sizeof path, "%s/a", f->folder);
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0700);
}

static void names_stay_in_the_folder(void **state)
{
    struct fixture *f = *state;
    struct slice value;
    static const char *const names[] = {"../x", "/etc/passwd", "a/../../x", "", "a b", "a\n"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct slice name = slice_of_text(names[i]);
        assert_status(f->store->ops->put(f->store, name, SLICE("x")), INVALID);
        assert_status(f->store->ops->get(f->store, name, &f->arena, &value), INVALID);
    }
}

static void one_holds_a_lock(void **state)
{
    struct fixture *f = *state;
    void *lock, *other;
    const struct acme_store_ops *ops = f->store->ops;
    assert_ok(ops->lock(f->store, SLICE("a"), &lock));
    assert_status(ops->lock(f->store, SLICE("a"), &other), FULL);
    assert_ok(ops->lock(f->store, SLICE("b"), &other));
    ops->unlock(f->store, other);
    ops->unlock(f->store, lock);
    assert_ok(ops->lock(f->store, SLICE("a"), &lock));
    ops->unlock(f->store, lock);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_put_is_there),
        TEST(it_is_for_nobody_else),
        TEST(names_stay_in_the_folder),
        TEST(one_holds_a_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
