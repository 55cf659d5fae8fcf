#include "config/diagnostic.h"

#include <stdio.h>

#include "base/json_writer.h"
#include "config/excerpt.h"

#define BOLD   "\x1b[1m"
#define RED    "\x1b[1;31m"
#define YELLOW "\x1b[1;33m"
#define BLUE   "\x1b[1;34m"
#define PLAIN  "\x1b[0m"

void diagnostics_init(struct diagnostics *diagnostics, struct arena *arena)
{
    *diagnostics = (struct diagnostics){.arena = arena};
}

/* The next free place in the table, or NULL when it is full (or there is no memory for it). */
static struct diagnostic *add_item(struct diagnostics *diagnostics)
{
    if (!diagnostics->items)
        diagnostics->items =
            arena_array(diagnostics->arena, DIAGNOSTICS_MAX, sizeof *diagnostics->items);
    if (!diagnostics->items || diagnostics->count == DIAGNOSTICS_MAX)
        return NULL;
    return &diagnostics->items[diagnostics->count++];
}

static struct slice format_message(struct arena *arena, const char *format, va_list args)
{
    struct slice message = arena_format_list(arena, format, args);
    return message.data ? message : SLICE("(no memory for the message)");
}

static void add(struct diagnostics *diagnostics, enum severity severity, struct place place,
    struct slice hint, const char *format, va_list args)
{
    if (severity == SEVERITY_ERROR)
        diagnostics->errors++;
    struct diagnostic *item = add_item(diagnostics);
    if (!item) {
        diagnostics->dropped++;
        return;
    }
    struct slice message = format_message(diagnostics->arena, format, args);
    *item = (struct diagnostic){.severity = severity,
        .place = place,
        .message = message,
        .hint = arena_copy(diagnostics->arena, hint)};
}

enum status diagnostics_error(
    struct diagnostics *diagnostics, struct place place, struct slice hint, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(diagnostics, SEVERITY_ERROR, place, hint, format, args);
    va_end(args);
    return INVALID;
}

void diagnostics_warning(
    struct diagnostics *diagnostics, struct place place, struct slice hint, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(diagnostics, SEVERITY_WARNING, place, hint, format, args);
    va_end(args);
}

void diagnostics_relate(struct diagnostics *diagnostics, struct place place, const char *message)
{
    if (diagnostics->count == 0 || diagnostics->dropped)
        return;
    struct diagnostic *newest = &diagnostics->items[diagnostics->count - 1];
    newest->related = place;
    newest->related_message = arena_copy(diagnostics->arena, slice_of_text(message));
}

enum status diagnostics_hide(struct diagnostics *diagnostics, struct place place)
{
    struct hidden_place *hidden = arena_new(diagnostics->arena, struct hidden_place);
    if (!hidden)
        return NO_MEMORY;
    *hidden = (struct hidden_place){diagnostics->hidden, place};
    diagnostics->hidden = hidden;
    return OK;
}

/* A source as it was, and its copy. */
struct kept_source {
    const struct source *original, *copy;
};

static const struct source *copy_source(struct arena *arena, const struct source *original)
{
    struct source *copy = arena_new(arena, struct source);
    if (!copy)
        return NULL;
    *copy = (struct source){arena_copy(arena, original->name), arena_copy(arena, original->text)};
    return copy->name.data && copy->text.data ? copy : NULL;
}

static enum status keep_source(struct arena *arena, struct kept_source *kept, struct place *place)
{
    if (!place->source)
        return OK;
    for (; kept->original; kept++)
        if (kept->original == place->source) {
            place->source = kept->copy;
            return OK;
        }
    kept->copy = copy_source(arena, place->source);
    if (kept->copy)
        kept->original = place->source;
    place->source = kept->copy;
    return kept->copy ? OK : NO_MEMORY;
}

/* What is hidden in a source is so in its copy. */
static void keep_hidden(struct diagnostics *diagnostics, const struct kept_source *kept)
{
    for (struct hidden_place *hidden = diagnostics->hidden; hidden; hidden = hidden->next) {
        const struct kept_source *one = kept;
        while (one->original && one->original != hidden->place.source)
            one++;
        hidden->place.source = one->copy;
    }
}

enum status diagnostics_keep_sources(struct diagnostics *diagnostics)
{
    struct kept_source kept[2 * DIAGNOSTICS_MAX + 1] = {{NULL, NULL}};
    enum status worst = OK;
    for (size_t i = 0; i < diagnostics->count; i++) {
        struct diagnostic *item = &diagnostics->items[i];
        enum status first = keep_source(diagnostics->arena, kept, &item->place);
        enum status second = keep_source(diagnostics->arena, kept, &item->related);
        if (first || second)
            worst = NO_MEMORY;
    }
    keep_hidden(diagnostics, kept);
    return worst;
}

static int compare_places(const struct place *a, const struct place *b)
{
    if (a->source != b->source) {
        if (!a->source || !b->source)
            return a->source ? -1 : 1; /* what has no place comes last */
        return slice_compare(a->source->name, b->source->name);
    }
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    return (a->column > b->column) - (a->column < b->column);
}

/* By insertion: there are few, mostly in order already, and equal ones must stay as they came. */
static void sort(struct diagnostics *diagnostics)
{
    for (size_t i = 1; i < diagnostics->count; i++) {
        struct diagnostic moved = diagnostics->items[i];
        size_t at = i;
        for (; at && compare_places(&moved.place, &diagnostics->items[at - 1].place) < 0; at--)
            diagnostics->items[at] = diagnostics->items[at - 1];
        diagnostics->items[at] = moved;
    }
}

struct look {
    bool color;
    const struct hidden_place *hidden;
    struct text *text;
};

static void paint(const struct look *look, const char *color)
{
    if (look->color)
        text_add(look->text, slice_of_text(color));
}

/* "shop.yaml:34:14: error: message", then the excerpt. */
static void print_one(const struct look *look, const struct place *place, const char *word,
    const char *color, struct slice message, struct slice hint)
{
    struct text *text = look->text;
    paint(look, BOLD);
    if (place->source) {
        excerpt_add_safe(place->source->name, text);
        if (place->line)
            text_format(text, ":%u:%u", place->line, place->column);
        text_add_literal(text, ": ");
    }
    paint(look, color);
    text_format(text, "%s:", word);
    paint(look, PLAIN);
    text_add_char(text, ' ');
    excerpt_add_safe(message, text);
    bool has_excerpt = place->source && place->line;
    if (!has_excerpt && hint.size) {
        text_add_literal(text, ": ");
        excerpt_add_safe(hint, text);
    }
    text_add_char(text, '\n');
    if (has_excerpt)
        excerpt_add(place, look->hidden, hint, slice_of_text(look->color ? color : ""),
            slice_of_text(look->color ? PLAIN : ""), text);
}

void diagnostics_print(struct diagnostics *diagnostics, bool color, struct text *text)
{
    sort(diagnostics);
    struct look look = {color, diagnostics->hidden, text};
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct diagnostic *item = &diagnostics->items[i];
        bool is_error = item->severity == SEVERITY_ERROR;
        print_one(&look, &item->place, is_error ? "error" : "warning", is_error ? RED : YELLOW,
            item->message, item->hint);
        if (item->related.source)
            print_one(&look, &item->related, "note", BLUE, item->related_message, SLICE_NONE);
    }
    if (diagnostics->dropped)
        text_format(text, "and %zu more\n", diagnostics->dropped);
}

static void write_place(struct json_writer *writer, const struct place *place)
{
    json_put_text(writer, "file", place->source ? place->source->name : SLICE(""));
    json_put_u64(writer, "line", place->line);
    json_put_u64(writer, "column", place->column);
    json_put_u64(writer, "length", place->length);
}

static void write_diagnostic(struct json_writer *writer, const struct diagnostic *item)
{
    json_write_object(writer);
    json_put_text(
        writer, "severity", slice_of_text(item->severity == SEVERITY_ERROR ? "error" : "warning"));
    write_place(writer, &item->place);
    json_put_text(writer, "message", item->message);
    json_put_text(writer, "hint", item->hint);
    if (item->related.source) {
        json_put_object(writer, "related");
        write_place(writer, &item->related);
        json_put_text(writer, "message", item->related_message);
        json_write_object_end(writer);
    } else {
        json_put_null(writer, "related");
    }
    json_write_object_end(writer);
}

void diagnostics_print_json(struct diagnostics *diagnostics, struct text *text)
{
    sort(diagnostics);
    struct json_writer writer;
    json_writer_init(&writer, text, 0);
    json_write_array(&writer);
    for (size_t i = 0; i < diagnostics->count; i++)
        write_diagnostic(&writer, &diagnostics->items[i]);
    json_write_array_end(&writer);
}
