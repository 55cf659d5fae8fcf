/* From text to a tree of terms: a Pratt parser that checks the types of each term when it is made.
 */
#include "config/expression_tree.h"

#include "base/suggest.h"
#include "config/expression_bodies.h"
#include "config/expression_check.h"
#include "config/expression_lexer.h"

/* How tightly operators bind; `not` stands between. */
enum { POWER_OR = 1, POWER_AND, POWER_NOT, POWER_COMPARE, POWER_ELSE };

static const struct operator
{
    const char *name;
    enum term_kind kind;
    int power;
    bool takes_bare; /* a bare word on its right is text */
}
operators[] = {
    {"or", TERM_OR, POWER_OR, false},
    {"and", TERM_AND, POWER_AND, false},
    {"==", TERM_EQUAL, POWER_COMPARE, true},
    {"!=", TERM_DIFFERENT, POWER_COMPARE, true},
    {"<", TERM_LESS, POWER_COMPARE, false},
    {"<=", TERM_AT_MOST, POWER_COMPARE, false},
    {">", TERM_GREATER, POWER_COMPARE, false},
    {">=", TERM_AT_LEAST, POWER_COMPARE, false},
    {"in", TERM_IN, POWER_COMPARE, false},
    {"has", TERM_HAS, POWER_COMPARE, true},
    {"matches", TERM_MATCHES, POWER_COMPARE, false},
    {"starts", TERM_STARTS, POWER_COMPARE, false},
    {"ends", TERM_ENDS, POWER_COMPARE, false},
    {"else", TERM_ELSE, POWER_ELSE, false},
};

static const struct {
    struct slice name;
    enum term_kind kind;
} functions[] = {{SLICE_INIT("lower"), TERM_LOWER}, {SLICE_INIT("upper"), TERM_UPPER},
    {SLICE_INIT("hash"), TERM_HASH}};

/* What people write who know another language. */
static const struct {
    struct slice sign;
    const char *hint;
} foreign_signs[] = {{SLICE_INIT("&&"), "write and"}, {SLICE_INIT("||"), "write or"},
    {SLICE_INIT("="), "write =="}, {SLICE_INIT("!"), "write not"}};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct term *parse(struct compiler *c, int power);

static void advance(struct compiler *c)
{
    c->token = expression_next_token(c->source, c->token.offset + c->token.size);
}

static bool is_written(const struct token *token, const char *text)
{
    return (token->kind == TOKEN_WORD || token->kind == TOKEN_SIGN) &&
           slice_equal(token->text, slice_of_text(text));
}

static const struct operator* find_operator(const struct token *token)
{
    for (size_t i = 0; i < COUNT(operators); i++)
        if (is_written(token, operators[i].name))
            return &operators[i];
    return NULL;
}

static struct term *new_term(struct compiler *c, enum term_kind kind, enum value_type type)
{
    struct term *term = arena_new(c->reader->arena, struct term);
    if (!term)
        c->status = NO_MEMORY;
    else
        *term = (struct term){.kind = kind, .type = type};
    return term;
}

/* --- complaints */

static struct term *complain_of_token(struct compiler *c)
{
    const struct token *token = &c->token;
    if (token->kind == TOKEN_END)
        return compiler_complain(c, token, SLICE_NONE, "something is missing at the end");
    if (token->kind == TOKEN_UNCLOSED)
        return compiler_complain(c, token, SLICE_NONE, "this quote is never closed");
    for (size_t i = 0; i < COUNT(foreign_signs); i++)
        if (slice_equal(token->text, foreign_signs[i].sign))
            return compiler_complain(c, token, slice_of_text(foreign_signs[i].hint),
                "\"%.*s\" means nothing here", SLICE_ARG(token->text));
    return compiler_complain(c, token, SLICE("text needs quotes"), "\"%.*s\" is not expected here",
        SLICE_ARG(token->text));
}

static struct term *expect(struct compiler *c, const char *sign, struct term *term)
{
    if (!term)
        return NULL;
    if (!is_written(&c->token, sign)) {
        if (c->token.kind == TOKEN_END)
            return compiler_complain(c, &c->token, SLICE_NONE, "a \"%s\" is missing", sign);
        return complain_of_token(c);
    }
    advance(c);
    return term;
}

/* --- roots */

/* "header" alone, or "client": the first name that begins so. */
static struct slice suggest_longer(struct compiler *c, struct slice word)
{
    if (word.size && word.data[word.size - 1] == '.')
        word.size--;
    for (const struct expression_root *root = expression_roots; root->name; root++) {
        struct slice name = slice_of_text(root->name);
        struct slice first = slice_head(name, slice_find(name, '.'));
        if (slice_equal(first, word))
            return arena_format(c->reader->arena, "for example %s%s", root->name,
                root->form == ROOT_ALONE ? "" : ".NAME");
    }
    return SLICE_NONE;
}

/* A name that resembles a word as a whole, or the part before its first dot. */
static struct slice suggest_similar(struct compiler *c, struct slice word)
{
    struct suggestion whole, part;
    struct slice first = slice_head(word, slice_find(word, '.'));
    suggest_begin(&whole, word);
    suggest_begin(&part, first);
    for (const struct expression_root *root = expression_roots; root->name; root++) {
        suggest_offer(&whole, slice_of_text(root->name));
        suggest_offer(&part, slice_of_text(root->name));
    }
    struct slice rest = slice_from(word, first.size);
    if (whole.best.size)
        return arena_format(c->reader->arena, "did you mean %.*s?", SLICE_ARG(whole.best));
    if (part.best.size && rest.size)
        return arena_format(
            c->reader->arena, "did you mean %.*s%.*s?", SLICE_ARG(part.best), SLICE_ARG(rest));
    return SLICE_NONE;
}

static struct slice suggest_root(struct compiler *c, struct slice word)
{
    struct slice hint = suggest_longer(c, word);
    if (!hint.size)
        hint = suggest_similar(c, word);
    if (!hint.size)
        hint = arena_format(c->reader->arena, "for the text write \"%.*s\"", SLICE_ARG(word));
    return hint;
}

static enum status split_names(struct arena *arena, struct root_operand *operand)
{
    size_t count = 1;
    for (size_t i = 0; i < operand->name.size; i++)
        count += operand->name.data[i] == '.';
    operand->names = arena_array(arena, count, sizeof *operand->names);
    if (!operand->names)
        return NO_MEMORY;
    struct slice rest = operand->name, name;
    while (slice_split(&rest, '.', &name))
        operand->names[operand->count++] = name;
    return OK;
}

static const struct expression_root *find_root(
    const struct compiler *c, struct slice word, struct slice *ret_rest)
{
    const struct expression_root *root = expression_root_find(c->reader->roots, word, ret_rest);
    return root ? root : expression_root_find(expression_roots, word, ret_rest);
}

static bool has_parameter(const struct parameter_names *names, struct slice name)
{
    for (size_t i = 0; i < names->count; i++)
        if (slice_equal(names->items[i], name))
            return true;
    return false;
}

static struct term *complain_of_parameter(
    struct compiler *c, const struct token *token, struct slice name)
{
    const struct parameter_names *names = c->reader->parameters;
    struct slice hint, best = suggest_among(name, names->items, names->count);
    if (!best.size && names->count == 1)
        best = names->items[0];
    if (best.size)
        hint = arena_format(c->reader->arena, "did you mean path.%.*s?", SLICE_ARG(best));
    else
        hint = arena_format(c->reader->arena, "write {%.*s} into its path", SLICE_ARG(name));
    return compiler_complain(
        c, token, hint, "the route's path has no parameter \"%.*s\"", SLICE_ARG(name));
}

/* What is said of a root that is asked for before its phase. */
static const char *const too_early[] = {
    [PHASE_RESPONSE] = "there is no response yet when this is asked",
    [PHASE_END] = "this is not known yet when it is asked",
    [PHASE_BODIES] = "bodies are read for the cost of a limit alone",
};

static struct term *parse_root(struct compiler *c)
{
    struct token token = c->token;
    struct slice rest;
    const struct expression_root *root = find_root(c, token.text, &rest);
    if (!root)
        return compiler_complain(c, &token, suggest_root(c, token.text),
            "there is no \"%.*s\" to ask for", SLICE_ARG(token.text));
    if (root->why_not && !c->reader->has_claims)
        return compiler_complain(c, &token, SLICE_NONE, "%s", root->why_not);
    if (root->phase > c->phase)
        return compiler_complain(c, &token, SLICE_NONE, "%s", too_early[root->phase]);
    if (root->phase == PHASE_BODIES && !expression_body_fits(rest))
        return compiler_complain(
            c, &token, SLICE_NONE, "a path in a body is 8 names at most, of 64 bytes at most");
    if (root->is_parameter && c->reader->parameters && !has_parameter(c->reader->parameters, rest))
        return complain_of_parameter(c, &token, rest);
    struct term *term = new_term(c, TERM_ROOT, root->type);
    if (!term)
        return NULL;
    term->root = root;
    term->operand = (struct root_operand){.name = arena_copy(c->reader->arena, rest),
        .field = rest.size ? field_id_of(rest) : FIELD_OTHER};
    if (!term->operand.name.data || split_names(c->reader->arena, &term->operand)) {
        c->status = NO_MEMORY;
        return NULL;
    }
    advance(c);
    return term;
}

/* --- literals */

static struct term *parse_text(struct compiler *c)
{
    struct term *term = new_term(c, TERM_LITERAL, TYPE_TEXT);
    if (!term)
        return NULL;
    term->literal.kind = VALUE_TEXT;
    term->literal.text = c->token.kind == TOKEN_TEXT
                             ? expression_unescape(c->reader->arena, c->token.text)
                             : arena_copy(c->reader->arena, c->token.text);
    if (!term->literal.text.data) {
        c->status = NO_MEMORY;
        return NULL;
    }
    advance(c);
    return term;
}

static struct term *parse_number(struct compiler *c)
{
    struct term *term = new_term(c, TERM_LITERAL, TYPE_NUMBER);
    if (!term)
        return NULL;
    term->literal.kind = VALUE_NUMBER;
    if (!expression_parse_number(c->token.text, &term->literal.number))
        return compiler_complain(c, &c->token, SLICE_NONE, "a number that large is not understood");
    advance(c);
    return term;
}

static struct term *parse_flag(struct compiler *c)
{
    struct term *term = new_term(c, TERM_LITERAL, TYPE_FLAG);
    if (!term)
        return NULL;
    term->literal.kind = VALUE_FLAG;
    term->literal.flag = is_written(&c->token, "true");
    advance(c);
    return term;
}

static bool is_flag(const struct token *token)
{
    return is_written(token, "true") || is_written(token, "false");
}

/* A literal, a bare word among them, as an item of a list. */
static struct term *parse_item(struct compiler *c)
{
    if (is_flag(&c->token))
        return parse_flag(c);
    if (c->token.kind == TOKEN_NUMBER)
        return parse_number(c);
    if (c->token.kind == TOKEN_WORD || c->token.kind == TOKEN_TEXT)
        return parse_text(c);
    return complain_of_token(c);
}

/* At least as many as the list that begins at the token has. */
static size_t count_items(const struct compiler *c)
{
    struct slice rest = slice_from(c->source, c->token.offset);
    size_t count = 1;
    for (size_t i = 0; i < rest.size; i++)
        count += rest.data[i] == ',';
    return count;
}

/* ["a", b, 3] behind `in`; each item must be comparable with what stands before. */
static struct term *parse_list(struct compiler *c, const struct term *left)
{
    struct term *list = new_term(c, TERM_LITERAL, TYPE_LIST);
    struct value *items = arena_array(c->reader->arena, count_items(c), sizeof *items);
    if (!list || !items) {
        c->status = NO_MEMORY;
        return NULL;
    }
    do {
        advance(c);
        struct token token = c->token;
        const struct term *item = parse_item(c);
        if (!item || !compiler_check_equal(c, &token, left, item))
            return NULL;
        items[list->literal.count++] = item->literal;
    } while (is_written(&c->token, ","));
    list->literal.kind = VALUE_LIST;
    list->literal.items = items;
    return expect(c, "]", list);
}

/* --- terms */

static struct term *parse_function(struct compiler *c, enum term_kind kind)
{
    struct token token = c->token;
    advance(c);
    advance(c);
    const struct term *argument = parse(c, POWER_OR);
    if (!argument || !compiler_check_text(c, &token, argument))
        return NULL;
    struct term *term = new_term(c, kind, TYPE_TEXT);
    if (term)
        term->left = argument;
    return expect(c, ")", term);
}

static struct term *parse_not(struct compiler *c)
{
    advance(c);
    const struct term *operand = parse(c, POWER_NOT);
    struct term *term = operand ? new_term(c, TERM_NOT, TYPE_FLAG) : NULL;
    if (term)
        term->left = operand;
    return term;
}

static bool is_call(const struct compiler *c)
{
    struct token next = expression_next_token(c->source, c->token.offset + c->token.size);
    return is_written(&next, "(");
}

static struct term *parse_word(struct compiler *c)
{
    if (is_written(&c->token, "not"))
        return parse_not(c);
    if (is_flag(&c->token))
        return parse_flag(c);
    if (find_operator(&c->token))
        return complain_of_token(c);
    if (!is_call(c))
        return parse_root(c);
    for (size_t i = 0; i < COUNT(functions); i++)
        if (slice_equal(c->token.text, functions[i].name))
            return parse_function(c, functions[i].kind);
    return compiler_complain(c, &c->token, SLICE("the functions are lower, upper and hash"),
        "there is no function \"%.*s\"", SLICE_ARG(c->token.text));
}

static struct term *parse_primary(struct compiler *c)
{
    if (c->token.kind == TOKEN_WORD)
        return parse_word(c);
    if (c->token.kind == TOKEN_NUMBER)
        return parse_number(c);
    if (c->token.kind == TOKEN_TEXT)
        return parse_text(c);
    if (is_written(&c->token, "["))
        return compiler_complain(c, &c->token, SLICE_NONE, "a list may only stand behind `in`");
    if (!is_written(&c->token, "("))
        return complain_of_token(c);
    advance(c);
    return expect(c, ")", parse(c, POWER_OR));
}

/* The right side of an operator that takes bare words. One that could be both is refused, so that
 * nobody is surprised. */
static struct term *parse_bare(struct compiler *c)
{
    struct slice rest, word = c->token.text;
    bool is_root = find_root(c, word, &rest) != NULL;
    bool has_dot = slice_find(word, '.') < word.size;
    if (is_written(&c->token, "not") || is_flag(&c->token) || is_call(c) || (is_root && has_dot))
        return parse(c, POWER_ELSE);
    if (find_operator(&c->token))
        return complain_of_token(c);
    if (is_root)
        return compiler_complain(c, &c->token,
            arena_format(c->reader->arena,
                "write \"%.*s\" for the text; for the value put it on the left", SLICE_ARG(word)),
            "%.*s could be the text or the value", SLICE_ARG(word));
    return parse_text(c);
}

static struct term *parse_right(
    struct compiler *c, const struct operator* operator, const struct term * left)
{
    if (operator->takes_bare && c->token.kind == TOKEN_WORD)
        return parse_bare(c);
    if (operator->kind == TERM_IN && is_written(&c->token, "["))
        return parse_list(c, left);
    /* What nests to the right (and, or, else) is evaluated in a loop; comparisons do not nest. */
    return parse(c, operator->power +(operator->power == POWER_COMPARE));
}

static struct term *parse_binary(
    struct compiler *c, const struct operator* operator, const struct term * left)
{
    struct token sign = c->token;
    advance(c);
    struct token token = c->token;
    const struct term *right = parse_right(c, operator, left);
    struct term *term = right ? new_term(c, operator->kind, TYPE_FLAG) : NULL;
    if (!term)
        return NULL;
    term->left = left;
    term->right = right;
    if (!compiler_check_binary(c, &sign, &token, term))
        return NULL;
    const struct operator* next = find_operator(&c->token);
    if (operator->power == POWER_COMPARE && next && next->power == POWER_COMPARE)
        return compiler_complain(
            c, &c->token, SLICE("write a == b and b == c"), "comparisons cannot be chained");
    return term;
}

static struct term *parse(struct compiler *c, int power)
{
    if (++c->depth > EXPRESSION_DEPTH_MAX)
        return compiler_complain(
            c, &c->token, SLICE_NONE, "the expression is nested too deep, or too long");
    struct term *left = parse_primary(c);
    while (left) {
        const struct operator* operator= find_operator(&c->token);
        if (!operator|| operator->power<power)
            break;
        left = parse_binary(c, operator, left);
    }
    c->depth--;
    return left;
}

static enum status compile(struct compiler *c, struct expression **ret_expression)
{
    c->token = expression_next_token(c->source, 0);
    struct expression *expression = arena_new(c->reader->arena, struct expression);
    if (!expression)
        return NO_MEMORY;
    if (c->token.kind == TOKEN_END) {
        compiler_complain(
            c, &c->token, SLICE("for example header.x-plan"), "an expression is missing");
        return c->status;
    }
    const struct term *top = parse(c, POWER_OR);
    if (top && c->token.kind != TOKEN_END)
        top = complain_of_token(c);
    if (!top)
        return c->status;
    *expression = (struct expression){top, c->source};
    *ret_expression = expression;
    return OK;
}

enum status expression_compile_part(struct reader *reader, const struct node *node, size_t offset,
    size_t size, enum expression_phase phase, struct expression **ret_expression)
{
    struct compiler c = {.reader = reader,
        .node = node,
        .base = offset,
        .phase = phase,
        .source = slice_head(slice_from(node->text, offset), size)};
    return compile(&c, ret_expression);
}

enum status expression_compile(struct reader *reader, const struct node *node,
    enum expression_phase phase, struct expression **ret_expression)
{
    if (node->kind == NODE_SCALAR)
        return expression_compile_part(reader, node, 0, node->text.size, phase, ret_expression);
    return diagnostics_error(reader->diagnostics, node->place, SLICE("for example header.x-plan"),
        "an expression is wanted here, not %s", node_kind_name(node));
}

struct slice expression_source(const struct expression *expression)
{
    return expression->source;
}
