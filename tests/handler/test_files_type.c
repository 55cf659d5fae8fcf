#include "handler/files_type.h"

#include "support/unit.h"

static void types_go_by_the_extension(void **state)
{
    (void)state;
    assert_slice(files_type_of(SLICE("a/b/index.html")), "text/html; charset=utf-8");
    assert_slice(files_type_of(SLICE("LOGO.PNG")), "image/png");
    assert_slice(files_type_of(SLICE("app.min.js")), "text/javascript; charset=utf-8");
    assert_slice(files_type_of(SLICE("a.zst")), "application/zstd");
    assert_slice(files_type_of(SLICE("a.7z")), "application/x-7z-compressed");
}

static void others_are_just_bytes(void **state)
{
    (void)state;
    static const char *const names[] = {"", "a", "a.", "a.b/c", "a.unknown",
        "a.averyveryverylongextension", "html", "a.html/", "a.htmlx", "a.\xC3\xA4"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_slice(files_type_of(slice_of_text(names[i])), "application/octet-stream");
}

/* A line out of its place would never be found. */
static void every_line_of_the_table_is_found(void **state)
{
    (void)state;
#define TYPE(extension, media_type) \
    assert_slices(files_type_of(SLICE("x." extension)), SLICE(media_type));
#include "handler/files_type.def"
#undef TYPE
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_go_by_the_extension),
        cmocka_unit_test(others_are_just_bytes),
        cmocka_unit_test(every_line_of_the_table_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
