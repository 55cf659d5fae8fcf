#include "config/layout.h"

#include <stdlib.h>

#include "config/layout_scan.h"

#define LEVELS_MAX 256
#define STEP       2 /* blanks for each level */

/* A column at which lines begin, and where they begin from now on. */
struct level {
    size_t old_column, new_column;
};

struct layout {
    const struct layout_line *lines;
    size_t count;
    struct level levels[LEVELS_MAX]; /* innermost last */
    size_t depth;
    bool is_root_flow;        /* the file is one map or list in brackets */
    bool has_output, has_gap; /* something was written; an empty line waits */
    struct level body_parent; /* the level that a block scalar's number counts from */
    struct text *text;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static size_t column_of(struct slice line)
{
    size_t column = 0;
    while (column < line.size && is_blank(line.data[column]))
        column++;
    return column;
}

static struct slice trim_end(struct slice s)
{
    while (s.size && is_blank(s.data[s.size - 1]))
        s.size--;
    return s;
}

static bool is_comment(struct slice line)
{
    struct slice rest = slice_trim(line);
    return rest.size && rest.data[0] == '#';
}

static bool is_empty(struct slice line)
{
    return slice_trim(line).size == 0;
}

static void begin_line(struct layout *l, size_t column)
{
    if (l->has_gap && l->has_output)
        text_add_char(l->text, '\n');
    l->has_gap = false;
    l->has_output = true;
    while (column--)
        text_add_char(l->text, ' ');
}

static void add_line(struct layout *l, size_t column, struct slice rest)
{
    begin_line(l, rest.size ? column : 0);
    text_add(l->text, rest);
    text_add_char(l->text, '\n');
}

/* --- levels */

static size_t top_column(const struct layout *l)
{
    return l->depth ? l->levels[l->depth - 1].new_column : 0;
}

static void push_level(struct layout *l, size_t old_column, size_t new_column)
{
    if (l->depth < LEVELS_MAX)
        l->levels[l->depth++] = (struct level){old_column, new_column};
}

/* Where a line that begins at `column` is to begin. */
static size_t map_column(const struct layout *l, size_t column)
{
    size_t depth = l->depth;
    while (depth && l->levels[depth - 1].old_column > column)
        depth--;
    if (depth == 0)
        return 0;
    const struct level *level = &l->levels[depth - 1];
    return level->old_column == column ? level->new_column : level->new_column + STEP;
}

static void enter_level(struct layout *l, size_t column)
{
    size_t new_column = map_column(l, column);
    while (l->depth && l->levels[l->depth - 1].old_column >= column)
        l->depth--;
    push_level(l, column, new_column);
}

/* --- lines */

/* A sign that begins an item or an entry, with a blank or nothing behind it. */
static bool is_item(struct slice s)
{
    return s.size && (s.data[0] == '-' || s.data[0] == '?' || s.data[0] == ':') &&
           (s.size == 1 || is_blank(s.data[1]));
}

/* A line of a block map or list: "key: ...", "- ...", "- - ...". What stands behind a dash begins a
 * level of its own. */
static void add_structure(struct layout *l, const struct layout_line *line)
{
    size_t column = column_of(line->text);
    struct slice rest = slice_from(line->text, column);
    enter_level(l, column);
    l->body_parent = l->levels[l->depth ? l->depth - 1 : 0];
    size_t new_column = top_column(l);
    char signs[LEVELS_MAX];
    size_t count = 0;
    while (is_item(rest) && count + 2 < sizeof signs) {
        size_t skipped = 1 + column_of(slice_from(rest, 1));
        struct slice behind = slice_from(rest, skipped);
        signs[count++] = rest.data[0];
        rest = behind;
        if (!rest.size)
            break;
        signs[count++] = ' ';
        if (rest.data[0] == '#')
            break;
        column += skipped;
        bool is_scalar_body = rest.data[0] == '|' || rest.data[0] == '>';
        push_level(l, column, new_column + count);
        if (!is_scalar_body)
            l->body_parent = l->levels[l->depth - 1];
    }
    if (!line->keeps_end)
        rest = trim_end(rest);
    begin_line(l, new_column);
    text_add(l->text, slice_of(signs, count));
    text_add(l->text, rest);
    text_add_char(l->text, '\n');
}

/* The next line of structure after `i`, or NULL. */
static const struct layout_line *next_structure(const struct layout *l, size_t i)
{
    while (++i < l->count)
        if (l->lines[i].kind == LINE_FREE && !is_empty(l->lines[i].text) &&
            !is_comment(l->lines[i].text))
            return &l->lines[i];
    return NULL;
}

/* A comment goes with the line behind it, unless it is indented deeper: then it ends the level that
 * it stands in. */
static void add_comment(struct layout *l, size_t i)
{
    size_t column = column_of(l->lines[i].text), new_column = 0;
    const struct layout_line *next = next_structure(l, i);
    if (next)
        new_column = map_column(l, column_of(next->text));
    if (!next || column > column_of(next->text))
        for (size_t depth = 0; depth < l->depth; depth++)
            if (l->levels[depth].old_column <= column && l->levels[depth].new_column > new_column)
                new_column = l->levels[depth].new_column;
    add_line(l, new_column, slice_trim(l->lines[i].text));
}

/* A further line of a map or list in brackets. */
static void add_flow(struct layout *l, const struct layout_line *line)
{
    struct slice rest = slice_from(line->text, column_of(line->text));
    size_t depth = line->flow_depth;
    bool is_closing = rest.size && (rest.data[0] == ']' || rest.data[0] == '}');
    /* A bracket in the column of its key is refused by some readers. */
    if (is_closing && (depth > 1 || l->is_root_flow))
        depth--;
    if (!line->keeps_end)
        rest = trim_end(rest);
    add_line(l, top_column(l) + STEP * depth, rest);
}

/* A further line of a text in quotes or without: empty ones count, blanks at the front do not. */
static void add_folded(struct layout *l, const struct layout_line *line)
{
    struct slice rest = slice_from(line->text, column_of(line->text));
    if (!line->keeps_end)
        rest = trim_end(rest);
    add_line(l, top_column(l) + STEP * (line->flow_depth + 1), rest);
}

/* A line of a block scalar: moved as a whole, so that what is indented deeper stays so. */
static void add_body(struct layout *l, const struct layout_line *line)
{
    size_t old_column = line->body_column, new_column = top_column(l) + STEP;
    if (line->body_indent) {
        old_column = l->body_parent.old_column + line->body_indent;
        new_column = l->body_parent.new_column + line->body_indent;
    }
    add_line(l, new_column, slice_from(line->text, old_column));
}

/* A directive, or the sign that a document begins or ends. */
static bool is_marker(struct slice line)
{
    struct slice sign = slice_head(line, 3);
    bool is_sign = slice_equal(sign, SLICE("---")) || slice_equal(sign, SLICE("..."));
    return slice_has_prefix(line, SLICE("%")) ||
           (is_sign && (line.size == 3 || is_blank(line.data[3])));
}

static void add_free(struct layout *l, size_t i)
{
    const struct layout_line *line = &l->lines[i];
    if (is_comment(line->text)) {
        add_comment(l, i);
    } else if (is_marker(line->text)) {
        l->depth = 0;
        add_line(l, 0, trim_end(line->text));
    } else {
        if (l->depth == 0)
            l->is_root_flow = strchr("[{", line->text.data[column_of(line->text)]) != NULL;
        add_structure(l, line);
    }
}

static void add_one(struct layout *l, size_t i)
{
    const struct layout_line *line = &l->lines[i];
    bool counts_empty = line->kind == LINE_FOLDED || line->kind == LINE_BODY;
    if (!counts_empty && is_empty(line->text)) {
        l->has_gap = true;
        return;
    }
    switch (line->kind) {
    case LINE_FREE:
        add_free(l, i);
        return;
    case LINE_FLOW:
        add_flow(l, line);
        return;
    case LINE_FOLDED:
        add_folded(l, line);
        return;
    case LINE_BODY:
        add_body(l, line);
        return;
    }
}

enum status layout_lines(struct slice source, struct text *text)
{
    struct layout l = {.text = text};
    struct layout_line *lines;
    enum status e = layout_scan(source, &lines, &l.count);
    if (e)
        return e;
    l.lines = lines;
    for (size_t i = 0; i < l.count; i++)
        add_one(&l, i);
    free(lines);
    return text->failed ? NO_MEMORY : OK;
}
