/* Reads any bytes along, whole and cut in two: both find the same. What is JSON without duplicate
 * keys is read as a tree too: then that says what has to be found. */
#include "base/json.h"
#include "base/json_watch.h"
#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct slice a[] = {SLICE_INIT("a")};
static const struct slice ab[] = {SLICE_INIT("a"), SLICE_INIT("b")};
static const struct slice abc[] = {SLICE_INIT("a"), SLICE_INIT("b"), SLICE_INIT("a")};
static const struct json_path paths[] = {{SLICE_INIT(""), NULL, 0}, {SLICE_INIT("a"), a, 1},
    {SLICE_INIT("a.b"), ab, 2}, {SLICE_INIT("a.b.a"), abc, 3}};

#define PATHS (sizeof paths / sizeof *paths)

static struct json_watch read_cut(struct slice text, size_t cut)
{
    struct json_watch watch;
    json_watch_init(&watch, paths, PATHS);
    json_watch_feed(&watch, slice_head(text, cut));
    json_watch_feed(&watch, slice_from(text, cut));
    json_watch_end(&watch);
    return watch;
}

static void check(
    const struct json_watch *watch, const struct json_path *path, const struct json_value *root)
{
    double number, expected;
    const struct json_value *value = root;
    bool is_found = json_watch_find(watch, path->name, &number);
    for (size_t i = 0; i < path->count; i++)
        value = json_get(value, path->names[i]);
    if (value && value->type == JSON_ARRAY)
        must(is_found && number == (double)value->count);
    else if (value && value->type == JSON_NUMBER && value->text.size < JSON_WATCH_TOKEN &&
             !json_to_double(value->text, &expected))
        must(is_found && number == expected);
    else if (!value || value->type != JSON_STRING)
        must(!is_found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct slice text = slice_of((const char *)data + 1, size - 1);
    struct json_watch whole = read_cut(text, text.size);
    struct json_watch cut = read_cut(text, data[0] % (text.size + 1));
    for (size_t i = 0; i < PATHS; i++) {
        double one = 0, other = 0;
        must(json_watch_find(&whole, paths[i].name, &one) ==
             json_watch_find(&cut, paths[i].name, &other));
        must(one == other);
    }
    struct arena arena;
    struct json_value *root;
    struct json_error error;
    arena_init(&arena, 0, 0);
    if (!json_parse(&arena, text, NULL, &root, &error))
        for (size_t i = 0; i < PATHS; i++)
            check(&whole, &paths[i], root);
    arena_release(&arena);
    return 0;
}
