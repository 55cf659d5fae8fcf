#include "config/expression_bodies.h"

#include "config/expression_tree.h"

bool expression_body_fits(struct slice path)
{
    struct slice name;
    size_t count = 0;
    while (slice_split(&path, '.', &name))
        if (name.size > JSON_WATCH_NAME || ++count > JSON_WATCH_NAMES)
            return false;
    return true;
}

static void read_number(
    const struct json_watch *watch, const struct root_operand *operand, struct value *ret_value)
{
    if (watch && json_watch_find(watch, operand->name, &ret_value->number))
        ret_value->kind = VALUE_NUMBER;
}

void read_request_body(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    read_number(x->request_json, operand, ret_value);
}

void read_response_body(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    read_number(x->response_json, operand, ret_value);
}

static bool has_path(const struct json_paths *paths, struct slice name)
{
    for (size_t i = 0; i < paths->count; i++)
        if (slice_equal(paths->items[i].name, name))
            return true;
    return false;
}

/* The body itself is the path of no names. */
static enum status add_path(const struct root_operand *operand, struct json_paths *paths)
{
    if (has_path(paths, operand->name))
        return OK;
    if (paths->count == JSON_WATCH_PATHS)
        return TOO_LARGE;
    paths->items[paths->count++] = (struct json_path){.name = operand->name,
        .names = operand->names,
        .count = operand->name.size ? operand->count : 0};
    return OK;
}

typedef void read_root(struct exchange *, const struct root_operand *, struct value *);

/* Terms nest no deeper than EXPRESSION_DEPTH_MAX. */
static enum status collect(const struct term *term, read_root *read, struct json_paths *paths)
{
    if (!term)
        return OK;
    if (term->kind == TERM_ROOT && term->root->read == read)
        return add_path(&term->operand, paths);
    enum status e = collect(term->left, read, paths);
    return e ? e : collect(term->right, read, paths);
}

enum status expression_body_paths(
    const struct expression *expression, bool is_request, struct json_paths *ret_paths)
{
    ret_paths->count = 0;
    return collect(expression->top, is_request ? read_request_body : read_response_body, ret_paths);
}
