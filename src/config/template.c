#include "base/text.h"
#include "config/expression.h"

/* Text, or an expression. */
struct template_part {
    struct slice text;
    const struct expression *expression; /* NULL: text */
};

struct template
{
    struct template_part *parts; /* none: the empty text */
    size_t count;
};

/* A template being read: `text` are the node's raw bytes. */
struct scanner {
    struct reader *reader;
    struct node node; /* a copy whose text is the raw one, for places */
    enum expression_phase phase;
    struct template *template;
};

static void add_part(struct scanner *s, struct slice text, const struct expression *expression)
{
    if (!expression && text.size == 0)
        return;
    s->template->parts[s->template->count++] = (struct template_part){text, expression};
}

/* Each "${" makes at most two parts more. */
static size_t count_openings(struct slice text)
{
    size_t count = 0;
    for (size_t at; (at = slice_find_slice(text, SLICE("${"))) < text.size; count++)
        text = slice_from(text, at + 2);
    return count;
}

/* Where the expression that begins at `i` ends: its "}", quotes within respected; the text's size
 * when there is none. */
static size_t find_closing(struct slice text, size_t i)
{
    char quote = '\0';
    for (; i < text.size; i++) {
        char c = text.data[i];
        if (quote && c == '\\')
            i++;
        else if (quote && c == quote)
            quote = '\0';
        else if (!quote && (c == '"' || c == '\''))
            quote = c;
        else if (!quote && c == '}')
            return i;
    }
    return text.size;
}

/* Adds the expression whose "${" is at `i`; where it ends. */
static enum status scan_expression(struct scanner *s, size_t i, size_t *ret_end)
{
    struct slice text = s->node.text;
    size_t closing = find_closing(text, i + 2);
    if (closing == text.size)
        return diagnostics_error(s->reader->diagnostics, node_place_at(&s->node, i, 2),
            SLICE("$${ stands for the text \"${\""), "a \"}\" is missing for this \"${\"");
    struct expression *expression;
    enum status e =
        expression_compile_part(s->reader, &s->node, i + 2, closing - i - 2, s->phase, &expression);
    if (e)
        return e;
    add_part(s, SLICE_NONE, expression);
    *ret_end = closing + 1;
    return OK;
}

static enum status scan(struct scanner *s)
{
    struct slice text = s->node.text;
    enum status worst = OK;
    size_t begin = 0;
    for (size_t i = 0; i < text.size;) {
        struct slice rest = slice_from(text, i);
        size_t end = i + 1;
        if (slice_has_prefix(rest, SLICE("$${"))) {
            add_part(s, slice_of(text.data + begin, i - begin), NULL);
            begin = i + 1; /* leaves out one dollar sign */
            end = i + 3;
        } else if (slice_has_prefix(rest, SLICE("${"))) {
            add_part(s, slice_of(text.data + begin, i - begin), NULL);
            enum status e = scan_expression(s, i, &end);
            if (e == NO_MEMORY)
                return e;
            if (e)
                worst = e;
            begin = end;
        }
        i = end;
    }
    add_part(s, slice_from(text, begin), NULL);
    return worst;
}

enum status template_compile(struct reader *reader, const struct node *node,
    enum expression_phase phase, struct template **ret_template)
{
    if (node->kind != NODE_SCALAR)
        return diagnostics_error(reader->diagnostics, node->place, SLICE_NONE,
            "text is wanted here, not %s", node_kind_name(node));
    struct scanner s = {.reader = reader, .node = *node, .phase = phase};
    s.node.text = node->raw.data ? node->raw : node->text;
    s.template = arena_new(reader->arena, struct template);
    size_t most = 2 * count_openings(s.node.text) + 1;
    if (!s.template)
        return NO_MEMORY;
    s.template->parts = arena_array(reader->arena, most, sizeof *s.template->parts);
    if (!s.template->parts)
        return NO_MEMORY;
    enum status e = scan(&s);
    if (!e)
        *ret_template = s.template;
    return e;
}

bool template_is_constant(const struct template *template)
{
    for (size_t i = 0; i < template->count; i++)
        if (template->parts[i].expression)
            return false;
    return true;
}

static struct slice render_part(const struct template_part *part, struct exchange *x)
{
    return part->expression ? expression_text(part->expression, x) : part->text;
}

struct slice template_render(const struct template *template, struct exchange *x)
{
    if (template->count == 0)
        return SLICE("");
    if (template->count == 1) {
        struct slice text = render_part(&template->parts[0], x);
        return text.data ? text : SLICE("");
    }
    struct slice *texts = arena_array(&x->arena, template->count, sizeof *texts);
    if (!texts)
        return SLICE_NONE;
    for (size_t i = 0; i < template->count; i++)
        texts[i] = render_part(&template->parts[i], x);
    return arena_join(&x->arena, texts, template->count);
}
