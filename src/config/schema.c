/* The JSON Schema for editors. What is a string in YAML may come from the environment, so "${" is
 * allowed wherever a number or a flag is. Short forms are told apart by if/then on the type: anyOf
 * makes messages that help nobody. */
#include "base/json_writer.h"
#include "config/document.h"
#include "config/option_value.h"
#include "config/table_set.h"

#define UNIT_OR_VARIABLE(unit) "^(" unit ")$|\\$\\{"

struct schema {
    struct json_writer writer;
    struct table_set set;
};

static void write_option(struct schema *s, const struct option *option);

static void key(struct schema *s, const char *name)
{
    json_write_key(&s->writer, slice_of_text(name));
}

static void text_member(struct schema *s, const char *name, const char *value)
{
    key(s, name);
    json_write_string(&s->writer, slice_of_text(value));
}

static void types(struct schema *s, const char *const *names)
{
    key(s, "type");
    json_write_array(&s->writer);
    for (; *names; names++)
        json_write_string(&s->writer, slice_of_text(*names));
    json_write_array_end(&s->writer);
}

static void reference(struct schema *s, const struct option_table *table)
{
    char room[256];
    struct text text = text_fixed(room, sizeof room);
    text_add_literal(&text, "#/definitions/");
    table_set_name(&s->set, table, &text);
    key(s, "$ref");
    json_write_string(&s->writer, text_slice(&text));
}

static void write_integer(struct schema *s, const struct option *option)
{
    types(s, (const char *const[]){"integer", "string", NULL});
    text_member(s, "pattern", UNIT_OR_VARIABLE("-?[0-9]+"));
    if (option_has_minimum(option)) {
        key(s, "minimum");
        json_write_i64(&s->writer, option->minimum);
    }
    if (option_has_maximum(option)) {
        key(s, "maximum");
        json_write_i64(&s->writer, option->maximum);
    }
}

static void write_choices(struct schema *s, const struct option *option)
{
    key(s, "enum");
    json_write_array(&s->writer);
    for (const char *const *choice = option->choices; *choice; choice++)
        json_write_string(&s->writer, slice_of_text(*choice));
    json_write_array_end(&s->writer);
}

/* How a list's or map's items are: an object of its own. */
static void write_item(struct schema *s, const struct option *option)
{
    json_write_object(&s->writer);
    if (option->table)
        reference(s, option->table);
    else if (option->item)
        write_option(s, option->item);
    else
        types(s, (const char *const[]){"string", NULL});
    json_write_object_end(&s->writer);
}

/* A list, or one item alone. */
static void write_list(struct schema *s, const struct option *option)
{
    key(s, "if");
    json_write_object(&s->writer);
    text_member(s, "type", "array");
    json_write_object_end(&s->writer);
    key(s, "then");
    json_write_object(&s->writer);
    key(s, "items");
    write_item(s, option);
    json_write_object_end(&s->writer);
    key(s, "else");
    write_item(s, option);
}

static void write_unit(struct schema *s, const char *pattern)
{
    text_member(s, "type", "string");
    text_member(s, "pattern", pattern);
}

static void write_text_types(struct schema *s)
{
    types(s, (const char *const[]){"string", "number", "boolean", NULL});
}

/* Text, or a map that names a file. */
static void write_secret(struct schema *s)
{
    types(s, (const char *const[]){"string", "number", "boolean", "object", NULL});
    key(s, "properties");
    json_write_object(&s->writer);
    key(s, "file");
    json_write_object(&s->writer);
    text_member(s, "type", "string");
    json_write_object_end(&s->writer);
    json_write_object_end(&s->writer);
    key(s, "required");
    json_write_array(&s->writer);
    json_write_string(&s->writer, SLICE("file"));
    json_write_array_end(&s->writer);
    json_put_bool(&s->writer, "additionalProperties", false);
}

/* The members that say which values an option takes. */
static void write_kind(struct schema *s, const struct option *option)
{
    switch (option->kind) {
    case OPTION_FLAG:
        types(s, (const char *const[]){"boolean", "string", NULL});
        text_member(s, "pattern", "\\$\\{");
        return;
    case OPTION_INTEGER:
        write_integer(s, option);
        return;
    case OPTION_SIZE:
        write_unit(s, UNIT_OR_VARIABLE("[0-9.]+ ?([KMGT]i|[kKMGT])?B"));
        return;
    case OPTION_DURATION:
        write_unit(s, UNIT_OR_VARIABLE("([0-9.]+(d|h|m|s|ms|us|ns))+"));
        return;
    case OPTION_RATE:
        write_unit(s, UNIT_OR_VARIABLE("[0-9]+/[0-9a-z.]+"));
        return;
    case OPTION_SHARE:
        write_unit(s, UNIT_OR_VARIABLE("[0-9.]+ ?%"));
        return;
    case OPTION_CHOICE:
        write_choices(s, option);
        return;
    case OPTION_SECRET:
        write_secret(s);
        return;
    case OPTION_TEXT:
    case OPTION_TEMPLATE:
    case OPTION_PATTERN:
    case OPTION_EXPRESSION:
        write_text_types(s);
        return;
    case OPTION_NETWORKS:
    case OPTION_LIST:
        write_list(s, option);
        return;
    case OPTION_MAP:
        text_member(s, "type", "object");
        key(s, "additionalProperties");
        write_item(s, option);
        return;
    case OPTION_STRUCT:
    case OPTION_CUSTOM:
        return; /* written where their description can stand beside */
    }
}

/* A schema in one member, so that a description may stand beside it. */
static void write_all_of(struct schema *s, const struct option *option)
{
    key(s, "allOf");
    json_write_array(&s->writer);
    if (option->kind == OPTION_STRUCT)
        write_item(s, option);
    else
        json_write_raw(&s->writer, slice_of_text(option->schema));
    json_write_array_end(&s->writer);
}

/* The members of an option's schema. */
static void write_option(struct schema *s, const struct option *option)
{
    if (option->help)
        text_member(s, "description", option->help);
    if (option->fallback)
        text_member(s, "default", option->fallback);
    const struct option *shape = option->schema ? option : option_shape(option);
    if (shape->kind == OPTION_STRUCT || (shape->kind == OPTION_CUSTOM && shape->schema))
        write_all_of(s, shape);
    else
        write_kind(s, shape);
}

static void write_property(struct schema *s, const struct option *option)
{
    key(s, option->name);
    json_write_object(&s->writer);
    write_option(s, option);
    json_write_object_end(&s->writer);
}

static void write_unknown(struct schema *s, const struct option_table *table)
{
    struct option unknown;
    for (size_t i = 0; option_of_unknown(table, i, &unknown); i++)
        write_property(s, &unknown);
}

static void write_required(struct schema *s, const struct option_table *table)
{
    bool has_any = false;
    for (const struct option *option = table->options; option->name; option++)
        has_any = has_any || option->is_required;
    if (!has_any)
        return;
    key(s, "required");
    json_write_array(&s->writer);
    for (const struct option *option = table->options; option->name; option++)
        if (option->is_required)
            json_write_string(&s->writer, slice_of_text(option->name));
    json_write_array_end(&s->writer);
}

/* The members of a table's schema as a map. */
static void write_map(struct schema *s, const struct option_table *table)
{
    text_member(s, "type", "object");
    key(s, "properties");
    json_write_object(&s->writer);
    for (const struct option *option = table->options; option->name; option++)
        write_property(s, option);
    write_unknown(s, table);
    json_write_object_end(&s->writer);
    write_required(s, table);
    key(s, "additionalProperties");
    json_write_bool(&s->writer, false);
}

/* What a value that is no map must be: the shorthand's option, or for phrases any text. */
static void write_short(struct schema *s, const struct option_table *table)
{
    struct option option;
    if (!option_of_shorthand(table, &option)) {
        text_member(s, "type", "string");
        return;
    }
    if (!table->read_phrase) {
        write_option(s, &option);
        return;
    }
    key(s, "if");
    json_write_object(&s->writer);
    key(s, "not");
    json_write_object(&s->writer);
    text_member(s, "type", "string");
    json_write_object_end(&s->writer);
    json_write_object_end(&s->writer);
    key(s, "then");
    json_write_object(&s->writer);
    write_option(s, &option);
    json_write_object_end(&s->writer);
}

static void write_table(struct schema *s, const struct option_table *table)
{
    if (table->help)
        text_member(s, "description", table->help);
    if (!table->shorthand && !table->read_phrase) {
        write_map(s, table);
        return;
    }
    key(s, "if");
    json_write_object(&s->writer);
    text_member(s, "type", "object");
    json_write_object_end(&s->writer);
    key(s, "then");
    json_write_object(&s->writer);
    write_map(s, table);
    json_write_object_end(&s->writer);
    key(s, "else");
    json_write_object(&s->writer);
    write_short(s, table);
    json_write_object_end(&s->writer);
}

static void write_definitions(struct schema *s)
{
    key(s, "definitions");
    json_write_object(&s->writer);
    for (size_t i = 1; i < s->set.count; i++) {
        char room[256];
        struct text name = text_fixed(room, sizeof room);
        table_set_name(&s->set, s->set.tables[i], &name);
        json_write_key(&s->writer, text_slice(&name));
        json_write_object(&s->writer);
        write_table(s, s->set.tables[i]);
        json_write_object_end(&s->writer);
    }
    json_write_object_end(&s->writer);
}

void document_schema(const struct option_table *table, struct text *text)
{
    struct schema s;
    json_writer_init(&s.writer, text, 2);
    table_set_collect(&s.set, table);
    json_write_object(&s.writer);
    text_member(&s, "$schema", "http://json-schema.org/draft-07/schema#");
    text_member(&s, "title", table->name);
    write_table(&s, table);
    write_definitions(&s);
    json_write_object_end(&s.writer);
    text_add_char(text, '\n');
}
