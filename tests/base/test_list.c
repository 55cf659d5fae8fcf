#include "base/list.h"

#include "support/unit.h"

struct item {
    char name;
    struct list node;
};

static struct list head;
static struct item items[4];

static int set_up(void **state)
{
    (void)state;
    list_init(&head);
    for (int i = 0; i < 4; i++) {
        items[i].name = (char)('a' + i);
        list_init(&items[i].node);
    }
    return 0;
}

/* The names from first to last; checks that the way back is the same. */
static struct slice names(void)
{
    static char text[8];
    size_t size = 0;
    list_each (node, &head) {
        assert_ptr_equal(node->next->previous, node);
        text[size++] = list_entry(node, struct item, node)->name;
    }
    return slice_of(text, size);
}

static void nodes_go_to_both_ends(void **state)
{
    (void)state;
    assert_true(list_is_empty(&head));
    list_push_back(&head, &items[1].node);
    list_push_back(&head, &items[2].node);
    list_push_front(&head, &items[0].node);
    list_insert_after(&items[1].node, &items[3].node);
    assert_slice(names(), "abdc");
    assert_false(list_is_empty(&head));
}

static void removing_twice_is_harmless(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        list_push_back(&head, &items[i].node);
    list_remove(&items[1].node);
    list_remove(&items[1].node);
    list_remove(&items[3].node);
    assert_slice(names(), "ac");
    list_push_back(&head, &items[1].node);
    assert_slice(names(), "acb");
}

static void popping_empties(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        list_push_back(&head, &items[i].node);
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(list_pop_front(&head), &items[i].node);
    assert_null(list_pop_front(&head));
    assert_true(list_is_empty(&items[0].node));
}

static void a_walk_may_remove(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        list_push_back(&head, &items[i].node);
    list_each (node, &head) {
        if (list_entry(node, struct item, node)->name % 2)
            list_remove(node);
    }
    assert_slice(names(), "bd");
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nodes_go_to_both_ends),
        TEST(removing_twice_is_harmless),
        TEST(popping_empties),
        TEST(a_walk_may_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
