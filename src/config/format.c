#include "config/document.h"
#include "config/expand.h"
#include "config/layout.h"

static bool is_equal(const struct node *a, const struct node *b)
{
    if (a->kind != b->kind || a->is_quoted != b->is_quoted || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (a->kind == NODE_LIST && !is_equal(a->items[i], b->items[i]))
            return false;
        if (a->kind == NODE_MAP && (!slice_equal(a->entries[i].key, b->entries[i].key) ||
                                       !is_equal(a->entries[i].value, b->entries[i].value)))
            return false;
    }
    return slice_equal(a->text, b->text);
}

/* What a formatting works with: trees of the text before and after, thrown away at its end. */
struct formatting {
    struct arena arena;
    const struct source *source;
    const struct option_table *table;
    struct diagnostics *diagnostics;
};

static const struct tree_limits limits = {.keeps_environment = true};

/* The text as given, with complaints for the user. */
static enum status read_given(struct formatting *f, struct node **ret_root)
{
    size_t errors = f->diagnostics->errors;
    enum status e = tree_read(&f->arena, f->source, &limits, f->diagnostics, ret_root);
    return !e && f->diagnostics->errors > errors ? INVALID : e;
}

/* A text that was made here: when it is wrong, we are. */
static enum status read_made(struct formatting *f, struct slice text, struct node **ret_root)
{
    struct diagnostics ignored;
    struct source *source = arena_new(&f->arena, struct source);
    if (!source)
        return NO_MEMORY;
    *source = (struct source){f->source->name, text};
    diagnostics_init(&ignored, &f->arena);
    enum status e = tree_read(&f->arena, source, &limits, &ignored, ret_root);
    return e == INVALID || (!e && ignored.errors) ? INTERNAL : e;
}

/* Lays out a text and proves that it says the same as before. */
static enum status lay_out(
    struct formatting *f, struct slice before, const struct node *root, struct text *after)
{
    struct node *again;
    if (slice_has_prefix(before, SLICE("\xef\xbb\xbf")))
        before = slice_from(before, 3);
    enum status e = layout_lines(before, after);
    if (e)
        return e == INVALID ? INTERNAL : e;
    e = read_made(f, text_slice(after), &again);
    if (e)
        return e;
    return is_equal(root, again) ? OK : INTERNAL;
}

static enum status format_long(struct formatting *f, const struct node *root, struct text *after)
{
    struct text expanded = text_growing(0);
    struct node *expanded_root;
    enum status e = expand_short_forms(&f->arena, f->table, root, &expanded);
    if (!e)
        e = read_made(f, text_slice(&expanded), &expanded_root);
    if (!e)
        e = lay_out(f, text_slice(&expanded), expanded_root, after);
    text_release(&expanded);
    return e;
}

static enum status format(struct formatting *f, bool long_form, struct text *after)
{
    struct node *root;
    enum status e = read_given(f, &root);
    if (e)
        return e;
    return long_form ? format_long(f, root, after) : lay_out(f, f->source->text, root, after);
}

enum status document_format(const struct source *source, const struct option_table *table,
    bool long_form, struct diagnostics *diagnostics, struct text *text)
{
    struct formatting f = {.source = source, .table = table, .diagnostics = diagnostics};
    struct text after = text_growing(0);
    arena_init(&f.arena, 65536, 0);
    enum status e = format(&f, long_form, &after);
    if (!e)
        text_add(text, text_slice(&after));
    text_release(&after);
    arena_release(&f.arena);
    return !e && text->failed ? NO_MEMORY : e;
}
