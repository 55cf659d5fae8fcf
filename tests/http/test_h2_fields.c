#include "http/h2_fields.h"

#include "support/unit.h"

#define TABLE 4096 /* bytes of HPACK's table, as usual */

static int setup(void **state)
{
    static struct arena arena;
    arena_init(&arena, 0, 0);
    *state = &arena;
    return 0;
}

static int teardown(void **state)
{
    arena_release(*state);
    return 0;
}

static struct h2_list list_of(struct arena *arena, const char *(*pairs)[2], size_t count)
{
    struct fields fields;
    struct h2_list list;
    fields_init(&fields, arena);
    for (size_t i = 0; i < count; i++) {
        struct slice name = slice_of_text(pairs[i][0]);
        assert_int_equal(
            fields_add(&fields, field_id_of(name), name, slice_of_text(pairs[i][1])), OK);
    }
    assert_int_equal(h2_list_init(&list, arena, count), OK);
    assert_int_equal(h2_list_add_fields(&list, arena, &fields), OK);
    return list;
}

static void assert_name(const nghttp2_nv *item, const char *name)
{
    assert_slices(slice_of((const char *)item->name, item->namelen), slice_of_text(name));
}

static void names_are_in_lower_case_and_none_means_the_connection(void **state)
{
    const char *pairs[][2] = {{"Connection", "close"}, {"X-Own", "1"}, {"Content-Length", "3"},
        {"Content-Type", "text/plain"}, {"Host", "a"}, {"Upgrade", "h2c"}};
    struct h2_list list = list_of(*state, pairs, sizeof pairs / sizeof *pairs);
    assert_int_equal(list.count, 2);
    assert_name(&list.items[0], "x-own");
    assert_name(&list.items[1], "content-type");
}

/* How much of the compressor's table a head takes. */
static size_t growth(nghttp2_hd_deflater *deflater, const struct h2_list *list)
{
    uint8_t room[1024];
    size_t before = nghttp2_hd_deflate_get_num_table_entries(deflater);
    assert_true(nghttp2_hd_deflate_hd(deflater, room, sizeof room, list->items, list->count) > 0);
    return nghttp2_hd_deflate_get_num_table_entries(deflater) - before;
}

static void what_is_ever_new_takes_no_place_in_the_table(void **state)
{
    const char *kept[][2] = {{"Via", "1.1 weir"}, {"X-Own", "1"}};
    const char *new[][2] = {{"X-Request-Id", "0192"}, {"X-Forwarded-For", "10.0.0.1"},
        {"Forwarded", "for=10.0.0.1"}, {"grpc-timeout", "999m"}, {"traceparent", "00-1-2-01"}};
    nghttp2_hd_deflater *deflater;
    assert_int_equal(nghttp2_hd_deflate_new(&deflater, TABLE), 0);
    struct h2_list list = list_of(*state, kept, sizeof kept / sizeof *kept);
    assert_int_equal(growth(deflater, &list), 2);
    list = list_of(*state, new, sizeof new / sizeof *new);
    assert_int_equal(growth(deflater, &list), 0);
    nghttp2_hd_deflate_del(deflater);
}

static void what_came_is_bounded_and_checked(void **state)
{
    struct fields fields;
    struct h2_budget budget = {.bytes = 80, .fields = 2};
    fields_init(&fields, *state);
    assert_int_equal(h2_field_take(&fields, &budget, SLICE("a"), SLICE("b\nc")), BAD_FIELD);
    assert_int_equal(h2_field_take(&fields, &budget, SLICE("grpc-status"), SLICE("0")), OK);
    assert_slices(fields_value(&fields, FIELD_GRPC_STATUS), SLICE("0"));
    assert_int_equal(h2_field_take(&fields, &budget, SLICE("a"), SLICE("b")), FIELDS_TOO_LARGE);
    budget = (struct h2_budget){.bytes = 33, .fields = 1};
    assert_int_equal(h2_field_take(&fields, &budget, SLICE("a"), SLICE("b")), FIELDS_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            names_are_in_lower_case_and_none_means_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(
            what_is_ever_new_takes_no_place_in_the_table, setup, teardown),
        cmocka_unit_test_setup_teardown(what_came_is_bounded_and_checked, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
