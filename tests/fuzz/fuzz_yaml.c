/* Reads any bytes as a configuration: the tree, then a sample of options of every kind; shows all
 * complaints. What is read without one is formatted, which proves by itself that nothing changes.
 */
#include "base/clock.h"
#include "base/must.h"
#include "config/document.h"
#include "config/expression.h"
#include "config/pattern.h"
#include "run/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct part {
    int64_t duration, bytes;
    struct rate rate;
    double share;
};

struct top {
    struct option_map parts, numbers;
    struct option_list texts;
    struct part part;
    int64_t number;
    bool flag;
    int choice;
    struct slice text;
    struct pattern *pattern;
    struct expression *expression;
    struct template *template;
    struct network_list networks;
};

#define PART(member) offsetof(struct part, member)
#define TOP(member)  offsetof(struct top, member)

static const struct option part_options[] = {
    {"duration", OPTION_DURATION, PART(duration), .fallback = "5s", .maximum = HOUR},
    {"bytes", OPTION_SIZE, PART(bytes), .minimum = 10},
    {"rate", OPTION_RATE, PART(rate), .is_required = true},
    {"share", OPTION_SHARE, PART(share), .maximum = 50},
    {NULL},
};

static enum status read_phrase(struct reader *reader, const struct node *node, void *value)
{
    (void)reader;
    if (node->kind != NODE_SCALAR || !slice_has_prefix(node->text, SLICE("every ")))
        return NOT_FOUND;
    struct expression *expression;
    ((struct part *)value)->duration = 7;
    return expression_compile_part(reader, node, 6, 1000, PHASE_REQUEST, &expression);
}

static const struct option_table part_table = {.name = "part",
    .options = part_options,
    .size = sizeof(struct part),
    .shorthand = "rate",
    .read_phrase = read_phrase};

static const char *const choices[] = {"left", "right", NULL};
static const struct option text_item = {.kind = OPTION_TEXT};
static const struct option number_item = {.kind = OPTION_INTEGER};

static const struct option top_options[] = {
    {"parts", OPTION_MAP, TOP(parts), .table = &part_table},
    {"numbers", OPTION_MAP, TOP(numbers), .item = &number_item, .item_size = sizeof(int64_t)},
    {"texts", OPTION_LIST, TOP(texts), .item = &text_item, .item_size = sizeof(struct slice)},
    {"part", OPTION_STRUCT, TOP(part), .table = &part_table},
    {"number", OPTION_INTEGER, TOP(number), .minimum = -5, .maximum = 5},
    {"flag", OPTION_FLAG, TOP(flag)},
    {"choice", OPTION_CHOICE, TOP(choice), .choices = choices},
    {"text", OPTION_TEXT, TOP(text)},
    {"pattern", OPTION_PATTERN, TOP(pattern)},
    {"expression", OPTION_EXPRESSION, TOP(expression)},
    {"template", OPTION_TEMPLATE, TOP(template)},
    {"networks", OPTION_NETWORKS, TOP(networks)},
    {NULL},
};
static const struct option_table top_table = {
    .name = "configuration", .options = top_options, .size = sizeof(struct top)};

static void show(struct diagnostics *diagnostics)
{
    struct text text = text_growing(0);
    diagnostics_print(diagnostics, true, &text);
    diagnostics_print_json(diagnostics, &text);
    must(!text.failed);
    text_release(&text);
}

/* Formats what was read, and formats the result again: nothing may change any more. */
static void format(const struct source *source, struct diagnostics *diagnostics, bool long_form)
{
    struct text once = text_growing(0), twice = text_growing(0);
    if (document_format(source, &top_table, long_form, diagnostics, &once) == OK && !long_form) {
        struct source formatted = {source->name, text_slice(&once)};
        enum status e = document_format(&formatted, &top_table, false, diagnostics, &twice);
        must(e == OK && slice_equal(text_slice(&once), text_slice(&twice)));
    }
    text_release(&once);
    text_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct diagnostics diagnostics;
    struct node *root;
    struct top top = {.number = 0};
    arena_init(&arena, 0, 64 << 20);
    diagnostics_init(&diagnostics, &arena);
    struct source source = {
        SLICE("fuzz.yaml"), arena_copy(&arena, slice_of((const char *)data, size))};
    enum status e = tree_read(&arena, &source, NULL, &diagnostics, &root);
    must(e == OK || diagnostics.errors || e == NO_MEMORY);
    if (e == OK) {
        bool is_clean = diagnostics.errors == 0;
        struct reader reader = {.arena = &arena, .diagnostics = &diagnostics};
        e = option_read(&reader, &top_table, root, &top);
        must(e == OK || diagnostics.errors || e == NO_MEMORY);
        if (is_clean) {
            format(&source, &diagnostics, false);
            format(&source, &diagnostics, true);
        }
    }
    show(&diagnostics);
    arena_release(&arena);
    return 0;
}
