#include "service/instance.h"

#include "base/clock.h"
#include "base/json.h"

#define TEXT_MAX ((size_t)64 << 20)

const char *const instance_states[] = {"up", "drain", "down", NULL};

#define ROW(member) offsetof(struct instance_options, member)

static enum status read_address(struct reader *reader, const struct node *node, void *ret_value)
{
    struct address *address = ret_value;
    if (node->kind != NODE_SCALAR || address_parse(node->text, address) ||
        (address->any.sa_family != AF_UNIX && address_port(address) == 0))
        return diagnostics_error(reader->diagnostics, node->place, SLICE("10.0.0.1:8080"),
            "this is no address with a port: 10.0.0.1:8080, [::1]:8080, unix:/run/x.sock");
    return OK;
}

static const struct option label_option = {.kind = OPTION_TEXT};

#define INSTANCE_ROWS                                                                            \
    {"address", OPTION_CUSTOM, ROW(address), .is_required = true, .read = read_address,          \
        .form = "10.0.0.1:8080", .help = "Where it is: an address with a port, or unix:/path."}, \
        {"weight", OPTION_INTEGER, ROW(weight), .fallback = "1", .minimum = 0,                   \
            .maximum = FOUND_WEIGHT_MAX, .help = "Its share of the requests."},                  \
        {"tier", OPTION_INTEGER, ROW(tier), .fallback = "0", .minimum = 0, .maximum = 100,       \
            .help = "Those of the next tier are asked when none of this one is left."},          \
        {"zone", OPTION_TEXT, ROW(zone), .help = "Where it stands: a zone, or region/zone."},    \
        {"labels", OPTION_MAP, ROW(labels), .item = &label_option,                               \
            .item_size = sizeof(struct slice), .help = "By which `subset` chooses."},            \
        {"name", OPTION_TEXT, ROW(name), .help = "What its certificate is for."},                \
    {                                                                                            \
        "state", OPTION_CHOICE, ROW(state), .choices = instance_states, .fallback = "up",        \
                                            .help = "Whether it is to get requests."             \
    }

static const struct option rows[] = {INSTANCE_ROWS, {NULL}};

struct registration {
    struct instance_options instance;
    int64_t lease;
};

static const struct option registration_rows[] = {INSTANCE_ROWS,
    {"lease", OPTION_DURATION, offsetof(struct registration, lease), .fallback = "30s",
        .minimum = SECOND, .maximum = DAY, .help = "How long it is there unless it says so again."},
    {NULL}};

const struct option_table registration_table = {.name = "registration",
    .help = "What an instance says when it registers.",
    .options = registration_rows,
    .size = sizeof(struct registration)};

const struct option_table instance_table = {.name = "instance",
    .help = "An endpoint, as files and those who register themselves describe it.",
    .options = rows,
    .size = sizeof(struct instance_options),
    .shorthand = "address",
    .example = "{address: 10.0.0.1:8080, weight: 2}"};

enum status instance_find(
    struct findings *findings, const struct instance_options *instance, const char *said_by)
{
    struct finding finding = {.address = instance->address,
        .name = instance->name,
        .weight = (uint32_t)instance->weight,
        .tier = (uint32_t)instance->tier,
        .zone = instance->zone};
    finding.labels =
        arena_array(findings->arena, instance->labels.count + 1, sizeof *finding.labels);
    if (!finding.labels)
        return NO_MEMORY;
    for (size_t i = 0; i < instance->labels.count; i++)
        finding.labels[finding.label_count++] =
            (struct found_label){instance->labels.entries[i].key,
                *(const struct slice *)instance->labels.entries[i].value};
    if (instance->state)
        finding.trouble =
            arena_format(findings->arena, "%s says %s", said_by, instance_states[instance->state]);
    return findings_add(findings, &finding);
}

/* --- from JSON */

/* Places are found by going along with the text. */
struct conversion {
    struct arena *arena;
    const struct source *source;
    size_t offset;
    uint32_t line, column;
};

static struct place place_at(struct conversion *c, size_t offset)
{
    for (; c->offset < offset && c->offset < c->source->text.size; c->offset++) {
        bool is_end = c->source->text.data[c->offset] == '\n';
        c->line += is_end;
        c->column = is_end ? 1 : c->column + 1;
    }
    return (struct place){c->source, c->line, c->column, 1};
}

static struct slice scalar_text(const struct json_value *value)
{
    if (value->type == JSON_BOOLEAN)
        return value->boolean ? SLICE("true") : SLICE("false");
    return value->text;
}

static enum status convert(struct conversion *c, const struct json_value *value, struct node **ret);

static enum status convert_items(
    struct conversion *c, const struct json_value *value, struct node *node)
{
    bool is_map = value->type == JSON_OBJECT;
    enum status e = OK;
    node->kind = is_map ? NODE_MAP : NODE_LIST;
    if (is_map)
        node->entries = arena_array(c->arena, value->count + 1, sizeof *node->entries);
    else
        node->items = arena_array(c->arena, value->count + 1, sizeof *node->items);
    if (is_map ? !node->entries : !node->items)
        return NO_MEMORY;
    json_each (child, value) {
        struct node_entry *entry = is_map ? &node->entries[node->count] : NULL;
        if (entry)
            *entry = (struct node_entry){child->key, place_at(c, child->key_offset), NULL};
        e = convert(c, child, is_map ? &entry->value : &node->items[node->count]);
        if (e)
            return e;
        node->count++;
    }
    return OK;
}

/* As deep as the JSON reader's limit. */
static enum status convert(struct conversion *c, const struct json_value *value, struct node **ret)
{
    struct node *node = arena_new(c->arena, struct node);
    if (!node)
        return NO_MEMORY;
    *ret = node;
    node->place = place_at(c, value->offset);
    if (value->type == JSON_OBJECT || value->type == JSON_ARRAY)
        return convert_items(c, value, node);
    node->kind = value->type == JSON_NULL ? NODE_NULL : NODE_SCALAR;
    node->is_quoted = value->type == JSON_STRING;
    node->text = node->raw = scalar_text(value);
    return OK;
}

enum status instance_json_tree(
    struct arena *arena, const struct source *source, struct text *trouble, struct node **ret_root)
{
    struct conversion c = {arena, source, 0, 1, 1};
    struct json_value *root;
    struct json_error error;
    enum status e = json_parse(arena, source->text, NULL, &root, &error);
    if (e) {
        text_format(trouble, "line %zu, column %zu: %s", error.position.line, error.position.column,
            error.message);
        return e == NO_MEMORY ? e : INVALID;
    }
    return convert(&c, root, ret_root);
}

/* --- files */

void instance_word(const struct diagnostics *diagnostics, struct text *trouble)
{
    const struct diagnostic *first = diagnostics->items;
    for (size_t i = 0; i < diagnostics->count; i++)
        if (first->severity != SEVERITY_ERROR)
            first++;
    if (diagnostics->errors)
        text_format(trouble, "line %u, column %u: %.*s", (unsigned)first->place.line,
            (unsigned)first->place.column, SLICE_ARG(slice_head(first->message, 160)));
}

static enum status read_tree(struct arena *arena, const struct source *source, bool is_json,
    struct diagnostics *diagnostics, struct text *trouble, struct node **ret_root)
{
    const struct tree_limits limits = {.bytes = TEXT_MAX, .keeps_environment = true};
    if (is_json)
        return instance_json_tree(arena, source, trouble, ret_root);
    enum status e = tree_read(arena, source, &limits, diagnostics, ret_root);
    return e ? e : diagnostics->errors ? INVALID : OK;
}

static enum status read_items(
    struct reader *reader, const struct node *list, const char *said_by, struct findings *findings)
{
    enum status e = OK;
    for (size_t i = 0; !e && i < list->count; i++) {
        struct instance_options instance = {.weight = 0};
        e = option_read(reader, &instance_table, list->items[i], &instance);
        if (!e && reader->diagnostics->errors)
            e = INVALID;
        if (!e)
            e = instance_find(findings, &instance, said_by);
    }
    return e;
}

enum status instance_read_all(const struct source *source, bool is_json, const char *said_by,
    struct findings *findings, struct text *trouble)
{
    struct diagnostics diagnostics;
    struct node *root;
    diagnostics_init(&diagnostics, findings->arena);
    struct reader reader = {
        .arena = findings->arena, .diagnostics = &diagnostics, .subject = SLICE("endpoint")};
    enum status e = read_tree(findings->arena, source, is_json, &diagnostics, trouble, &root);
    if (!e) {
        const struct node *list = node_get(root, SLICE("endpoints"));
        list = list ? list : root;
        if (list->kind == NODE_LIST)
            e = read_items(&reader, list, said_by, findings);
        else
            e = diagnostics_error(&diagnostics, list->place, SLICE_NONE,
                "a list of endpoints is wanted, not %s", node_kind_name(list));
    }
    if (e == FULL || e == TOO_LARGE)
        text_format(trouble, "more than %d endpoints", FOUND_MAX);
    else if (e)
        instance_word(&diagnostics, trouble);
    return e;
}

enum status instance_read_one(const struct source *source, const char *said_by,
    struct findings *findings, struct text *trouble)
{
    struct diagnostics diagnostics;
    struct instance_options instance = {.weight = 0};
    struct node *root;
    diagnostics_init(&diagnostics, findings->arena);
    struct reader reader = {
        .arena = findings->arena, .diagnostics = &diagnostics, .subject = SLICE("endpoint")};
    enum status e = instance_json_tree(findings->arena, source, trouble, &root);
    if (!e)
        e = option_read(&reader, &instance_table, root, &instance);
    if (!e && diagnostics.errors)
        e = INVALID;
    if (!e)
        return instance_find(findings, &instance, said_by);
    instance_word(&diagnostics, trouble);
    return e;
}
