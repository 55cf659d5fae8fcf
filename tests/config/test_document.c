#include "config/document.h"

#include "base/clock.h"
#include "base/json.h"
#include "support/config.h"

struct limit {
    struct rate rate;
    int64_t burst, delay;
    double share;
};

struct top {
    struct option_map limits;
    struct option_list items;
    struct limit limit;
    bool flag;
    int choice;
    int custom;
    struct network_list from;
};

static enum status read_phrase(struct reader *reader, const struct node *node, void *value)
{
    (void)reader;
    (void)node;
    (void)value;
    return NOT_FOUND;
}

static enum status read_custom(struct reader *reader, const struct node *node, void *ret_value)
{
    (void)reader;
    (void)node;
    (void)ret_value;
    return OK;
}

static const struct option limit_list[] = {
    {"rate", OPTION_RATE, offsetof(struct limit, rate), .is_required = true,
        .help = "How many requests may pass."},
    {"burst", OPTION_INTEGER, offsetof(struct limit, burst), .fallback = "0", .maximum = 1000},
    {"delay", OPTION_DURATION, offsetof(struct limit, delay), .minimum = SECOND},
    {"share", OPTION_SHARE, offsetof(struct limit, share), .minimum = 1, .maximum = 90}, {NULL}};
static const struct option_table limit_table = {.name = "limit",
    .options = limit_list,
    .size = sizeof(struct limit),
    .shorthand = "rate",
    .help = "Limits how often something may happen.",
    .example = "limits: {login: 5/min}"};
static const struct option_table other_limit_table = {.name = "limit",
    .options = limit_list,
    .size = sizeof(struct limit),
    .shorthand = "rate",
    .read_phrase = read_phrase};

static const char *const choices[] = {"left", "right", NULL};
static const struct option text_item = {.kind = OPTION_TEXT};

static const struct option routes_shape = {.kind = OPTION_MAP, .table = &limit_table};

static const char *unknown_name(size_t i)
{
    return i == 0 ? "cors" : i == 1 ? "ip" : NULL;
}

static bool unknown_option(size_t i, struct option *ret_option)
{
    if (i != 0)
        return false;
    *ret_option =
        (struct option){.kind = OPTION_STRUCT, .table = &other_limit_table, .help = "Origins."};
    return true;
}

static enum status read_unknown(struct reader *reader, const struct node_entry *entry, void *value)
{
    (void)reader;
    (void)entry;
    (void)value;
    return NOT_FOUND;
}

static const struct option top_list[] = {
    {"limits", OPTION_MAP, offsetof(struct top, limits), .table = &limit_table},
    {"items", OPTION_LIST, offsetof(struct top, items), .item = &text_item,
        .item_size = sizeof(struct slice)},
    {"limit", OPTION_STRUCT, offsetof(struct top, limit), .table = &limit_table},
    {"flag", OPTION_FLAG, offsetof(struct top, flag), .fallback = "true"},
    {"choice", OPTION_CHOICE, offsetof(struct top, choice), .choices = choices},
    {"custom", OPTION_CUSTOM, offsetof(struct top, custom), .read = read_custom,
        .form = "this | that", .schema = "{\"type\": \"string\"}"},
    {"routes", OPTION_CUSTOM, offsetof(struct top, custom), .read = read_custom,
        .item = &routes_shape, .form = "METHOD /path: x"},
    {"from", OPTION_NETWORKS, offsetof(struct top, from)}, {NULL}};
static const struct option_table top_table = {.name = "configuration",
    .options = top_list,
    .size = sizeof(struct top),
    .read_unknown = read_unknown,
    .unknown_name = unknown_name,
    .unknown_option = unknown_option};

static bool has(struct slice s, const char *part)
{
    return slice_find_slice(s, slice_of_text(part)) < s.size;
}

static void check_parts(struct slice s, const char *const *parts)
{
    int missing = 0;
    for (; *parts; parts++)
        if (!has(s, *parts)) {
            print_error("missing: %s\n", *parts);
            missing++;
        }
    if (missing)
        print_error("in:\n%.*s\n", SLICE_ARG(s));
    assert_int_equal(missing, 0);
}

static void the_schema_is_printed(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    document_schema(&top_table, &text);
    assert_false(text.failed);
    check_parts(text_slice(&text),
        (const char *const[]){"\"$schema\": \"http://json-schema.org/draft-07/schema#\"",
            "\"$ref\": \"#/definitions/limit\"", "\"$ref\": \"#/definitions/limit-2\"",
            "\"limit-2\": {", "\"required\": [\n", "\"maximum\": 1000",
            "\"description\": \"How many requests may pass.\"", "\"default\": \"true\"",
            "\"left\",", "{\"type\": \"string\"}", "\"additionalProperties\": false", "\"ip\": {}",
            NULL});
    assert_false(has(text_slice(&text), "anyOf"));
    struct arena arena;
    struct json_value *root;
    struct json_error error;
    arena_init(&arena, 0, 0);
    assert_ok(json_parse(&arena, text_slice(&text), NULL, &root, &error));
    arena_release(&arena);
    text_release(&text);
}

static void the_reference_is_printed(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    document_reference(&top_table, &text);
    assert_false(text.failed);
    check_parts(text_slice(&text),
        (const char *const[]){"\n## configuration\n", "\n## limit\n", "\n## limit-2\n",
            "| `limits` | a map of names, each: [limit](#limit) |  |  |\n",
            "| `items` | a list, or one: text |", "| `flag` | true or false | `true` |  |\n",
            "| `rate` | a rate | **needed** | How many requests may pass. |\n",
            "| `burst` | a whole number, from 0, up to 1000 | `0` |",
            "| `delay` | a duration, from 1s |", "| `share` | a share, from 1%, up to 90% |",
            "| `choice` | `left`, `right` |", "| `custom` | `this \\| that` |",
            "| `routes` | a map of names, each: [limit](#limit): `METHOD /path: x` |",
            "| `cors` | [limit-2](#limit-2) |  | Origins. |\n",
            "```yaml\nlimits: {login: 5/min}\n```", "stands for `rate`", "| `header.NAME` | ",
            "| `response.status` | ", NULL});
    text_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schema_is_printed),
        cmocka_unit_test(the_reference_is_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
