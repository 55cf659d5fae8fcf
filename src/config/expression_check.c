#include "config/expression_check.h"

#include <stdio.h>

static const char *const type_names[] = {
    [TYPE_TEXT] = "text",
    [TYPE_FOREIGN] = "text",
    [TYPE_NUMBER] = "a number",
    [TYPE_FLAG] = "true or false",
    [TYPE_LIST] = "a list",
    [TYPE_ANY] = "a value",
};

struct term *compiler_complain(
    struct compiler *c, const struct token *token, struct slice hint, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    struct place place = node_place_at(c->node, c->base + token->offset, token->size);
    c->status = diagnostics_error(c->reader->diagnostics, place, hint, "%s", message);
    return NULL;
}

static bool can_be_text(const struct term *term)
{
    return term->type == TYPE_TEXT || term->type == TYPE_FOREIGN || term->type == TYPE_ANY;
}

static bool can_be_number(const struct term *term)
{
    return term->type == TYPE_NUMBER || term->type == TYPE_FOREIGN || term->type == TYPE_ANY;
}

bool compiler_check_text(struct compiler *c, const struct token *token, const struct term *term)
{
    if (can_be_text(term))
        return true;
    compiler_complain(c, token, SLICE_NONE, "text is wanted here, not %s", type_names[term->type]);
    return false;
}

static struct slice quote_hint(struct compiler *c, const struct token *token,
    const struct term *left, const struct term *right)
{
    bool is_literal = right->kind == TERM_LITERAL && token->kind != TOKEN_TEXT;
    if (!is_literal || !can_be_text(left))
        return SLICE_NONE;
    return arena_format(c->reader->arena, "for the text write \"%.*s\"", SLICE_ARG(token->text));
}

bool compiler_check_equal(struct compiler *c, const struct token *token, const struct term *left,
    const struct term *right)
{
    bool is_flags = left->type == TYPE_FLAG && right->type == TYPE_FLAG;
    bool is_any = (left->type == TYPE_ANY && right->type != TYPE_LIST) ||
                  (right->type == TYPE_ANY && left->type != TYPE_LIST);
    if (is_flags || is_any || (can_be_text(left) && can_be_text(right)) ||
        (can_be_number(left) && can_be_number(right)))
        return true;
    compiler_complain(c, token, quote_hint(c, token, left, right), "%s is never equal to %s",
        type_names[left->type], type_names[right->type]);
    return false;
}

static bool check_order(struct compiler *c, const struct token *token, const struct term *left,
    const struct term *right)
{
    if ((can_be_text(left) && can_be_text(right)) || (can_be_number(left) && can_be_number(right)))
        return true;
    compiler_complain(c, token, SLICE_NONE, "%s is never less or greater than %s",
        type_names[left->type], type_names[right->type]);
    return false;
}

static bool check_in(struct compiler *c, const struct token *token, const struct term *right)
{
    if (right->type == TYPE_LIST || right->type == TYPE_ANY)
        return true;
    compiler_complain(c, token, SLICE("a in [x, y]"), "behind `in` stands a list");
    return false;
}

static bool check_has(struct compiler *c, const struct token *sign, const struct token *token,
    const struct term *term)
{
    if (term->left->type != TYPE_LIST && !can_be_text(term->left)) {
        compiler_complain(
            c, sign, SLICE_NONE, "%s has nothing in it", type_names[term->left->type]);
        return false;
    }
    if (term->right->type == TYPE_LIST || term->right->type == TYPE_FLAG) {
        compiler_complain(
            c, token, SLICE_NONE, "text is wanted here, not %s", type_names[term->right->type]);
        return false;
    }
    return true;
}

static bool compile_pattern(struct compiler *c, const struct token *token, struct term *term)
{
    const struct term *right = term->right;
    if (right->kind != TERM_LITERAL || right->literal.kind != VALUE_TEXT) {
        compiler_complain(c, token, SLICE("a matches \"^/v[0-9]+/\""),
            "behind `matches` stands a regular expression in quotes");
        return false;
    }
    const char *problem;
    size_t offset;
    struct pattern *pattern;
    enum status e =
        pattern_compile(c->reader->arena, right->literal.text, &pattern, &problem, &offset);
    if (!e) {
        term->pattern = pattern;
        return true;
    }
    c->status = e;
    if (e == INVALID) {
        struct token at = {TOKEN_TEXT, SLICE_NONE, token->offset + 1 + offset, 1};
        if (offset >= token->text.size) /* or changed by escapes */
            at.offset = token->offset + token->size - 1;
        compiler_complain(c, &at, SLICE_NONE, "%s", problem);
    }
    return false;
}

static enum value_type common_type(const struct term *left, const struct term *right)
{
    if (left->type == right->type)
        return left->type;
    if (can_be_text(left) && can_be_text(right))
        return left->type == TYPE_ANY || right->type == TYPE_ANY ? TYPE_ANY : TYPE_FOREIGN;
    return TYPE_ANY;
}

bool compiler_check_binary(
    struct compiler *c, const struct token *sign, const struct token *right, struct term *term)
{
    switch ((int)term->kind) {
    case TERM_ELSE:
        term->type = common_type(term->left, term->right);
        return true;
    case TERM_EQUAL:
    case TERM_DIFFERENT:
        return compiler_check_equal(c, right, term->left, term->right);
    case TERM_LESS:
    case TERM_AT_MOST:
    case TERM_GREATER:
    case TERM_AT_LEAST:
        return check_order(c, right, term->left, term->right);
    case TERM_IN:
        return check_in(c, right, term->right);
    case TERM_HAS:
        return check_has(c, sign, right, term);
    case TERM_MATCHES:
        return compiler_check_text(c, sign, term->left) && compile_pattern(c, right, term);
    case TERM_STARTS:
    case TERM_ENDS:
        return compiler_check_text(c, sign, term->left) &&
               compiler_check_text(c, right, term->right);
    default:
        return true;
    }
}
