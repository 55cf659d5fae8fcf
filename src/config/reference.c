/* The reference page: a section for each table, then what expressions can ask for. */
#include <ctype.h>

#include "config/document.h"
#include "config/expression_root.h"
#include "config/option_value.h"
#include "config/table_set.h"

struct reference {
    struct table_set set;
    struct text *text;
};

static void write(struct reference *r, const char *words)
{
    text_add(r->text, slice_of_text(words));
}

/* Inside a cell of a table a bar would end it. */
static void write_cell(struct reference *r, const char *words)
{
    for (; *words; words++) {
        if (*words == '|')
            text_add_char(r->text, '\\');
        text_add_char(r->text, *words);
    }
}

static void write_code(struct reference *r, const char *words)
{
    write(r, "`");
    write_cell(r, words);
    write(r, "`");
}

/* What links to a heading are made of: its letters, small, and digits and hyphens. */
static void write_anchor(struct text *text, struct slice heading)
{
    for (size_t i = 0; i < heading.size; i++) {
        unsigned char c = (unsigned char)heading.data[i];
        if (isalnum(c) || c == '-')
            text_add_char(text, (char)tolower(c));
    }
}

static void write_link(struct reference *r, const struct option_table *table)
{
    write(r, "[");
    table_set_name(&r->set, table, r->text);
    write(r, "](#");
    struct text name = text_growing(0);
    table_set_name(&r->set, table, &name);
    write_anchor(r->text, text_slice(&name));
    text_release(&name);
    write(r, ")");
}

static void write_type(struct reference *r, const struct option *option);

static void write_item_type(struct reference *r, const struct option *option)
{
    if (option->table)
        write_link(r, option->table);
    else if (option->item)
        write_type(r, option->item);
    else
        write(r, "a value");
}

static void write_choices(struct reference *r, const struct option *option)
{
    for (const char *const *choice = option->choices; *choice; choice++) {
        if (choice != option->choices)
            write(r, ", ");
        write_code(r, *choice);
    }
}

static void write_bounds(struct reference *r, const struct option *option)
{
    if (!option_has_minimum(option))
        return;
    bool has_maximum = option_has_maximum(option);
    if (option->minimum != 0 || option->kind == OPTION_INTEGER || !has_maximum) {
        write(r, ", from ");
        option_format_bound(option, option->minimum, r->text);
    }
    if (has_maximum) {
        write(r, ", up to ");
        option_format_bound(option, option->maximum, r->text);
    }
}

static void write_shape(struct reference *r, const struct option *option)
{
    switch ((int)option->kind) {
    case OPTION_STRUCT:
        write_link(r, option->table);
        return;
    case OPTION_LIST:
        write(r, "a list, or one: ");
        write_item_type(r, option);
        return;
    case OPTION_MAP:
        write(r, "a map of names, each: ");
        write_item_type(r, option);
        return;
    case OPTION_CHOICE:
        write_choices(r, option);
        return;
    case OPTION_NETWORKS:
        write(r, "networks: `10.0.0.0/8`, `::1`, `private`, `loopback`; a list, or one");
        return;
    default:
        write_cell(r, option_kind_noun(option));
        write_bounds(r, option);
    }
}

/* The form says more than the kind of what a hook reads, and as much as an example of the rest. */
static void write_type(struct reference *r, const struct option *option)
{
    const struct option *shape = option_shape(option);
    if (shape->kind == OPTION_CUSTOM && shape->form) {
        write_code(r, shape->form);
        return;
    }
    write_shape(r, shape);
    if (option->form && *option->form) {
        write(r, ": ");
        write_code(r, option->form);
    }
}

static void write_option(struct reference *r, const struct option *option)
{
    write(r, "| ");
    write_code(r, option->name);
    write(r, " | ");
    write_type(r, option);
    write(r, " | ");
    if (option->is_required)
        write(r, "**needed**");
    else if (option->fallback)
        write_code(r, option->fallback);
    write(r, " | ");
    write_cell(r, option->help ? option->help : "");
    write(r, " |\n");
}

static void write_unknown(struct reference *r, const struct option_table *table)
{
    struct option unknown;
    for (size_t i = 0; option_of_unknown(table, i, &unknown); i++)
        write_option(r, &unknown);
}

static void write_table(struct reference *r, const struct option_table *table)
{
    write(r, "\n## ");
    table_set_name(&r->set, table, r->text);
    write(r, "\n\n");
    if (table->help) {
        write(r, table->help);
        write(r, "\n\n");
    }
    if (table->example) {
        write(r, "```yaml\n");
        write(r, table->example);
        write(r, "\n```\n\n");
    }
    if (table->shorthand) {
        write(r, "A value that is no map stands for ");
        write_code(r, table->shorthand);
        write(r, ".\n\n");
    }
    write(r, "| option | value | default | |\n|---|---|---|---|\n");
    for (const struct option *option = table->options; option->name; option++)
        write_option(r, option);
    write_unknown(r, table);
}

static void write_roots(struct reference *r)
{
    write(r, "\n## What expressions can ask for\n\n| name | |\n|---|---|\n");
    for (const struct expression_root *root = expression_roots; root->name; root++) {
        text_format(r->text, "| `%s%s` | ", root->name, root->form == ROOT_ALONE ? "" : ".NAME");
        write_cell(r, root->help);
        if (root->phase == PHASE_RESPONSE)
            write(r, " (once there is one)");
        if (root->phase == PHASE_END)
            write(r, " (once all is sent)");
        if (root->phase == PHASE_BODIES)
            write(r, " (in the `cost` of a limit)");
        if (root->why_not) {
            write(r, "; ");
            write_cell(r, root->why_not);
        }
        write(r, " |\n");
    }
}

void document_reference(const struct option_table *table, struct text *text)
{
    struct reference r = {.text = text};
    table_set_collect(&r.set, table);
    write(&r,
        "# Reference\n\nPrinted from the tables that read the configuration; units are written: "
        "`5s`, `250ms`, `10MiB`, `100/min`, `20%`.\n");
    for (size_t i = 0; i < r.set.count; i++)
        write_table(&r, r.set.tables[i]);
    write_roots(&r);
}
