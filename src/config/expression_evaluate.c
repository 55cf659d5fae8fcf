#include <math.h>

#include "base/hash.h"
#include "config/expression_tree.h"

#define MISSING ((struct value){.kind = VALUE_MISSING})

static void evaluate(const struct term *term, struct exchange *x, struct value *ret_value);
static bool is_true(const struct term *term, struct exchange *x);

/* --- values */

bool expression_parse_number(struct slice text, double *ret_number)
{
    bool is_negative = text.size && text.data[0] == '-';
    if (is_negative)
        text = slice_from(text, 1);
    size_t point = slice_find(text, '.');
    struct slice fraction = slice_from(text, point + 1);
    uint64_t whole, part = 0;
    if (!slice_to_u64(slice_head(text, point), &whole))
        return false;
    if (point < text.size && (fraction.size > 18 || !slice_to_u64(fraction, &part)))
        return false;
    double number = (double)whole + (double)part / pow(10, (double)fraction.size);
    *ret_number = is_negative ? -number : number;
    return true;
}

static bool as_number(const struct value *value, double *ret_number)
{
    if (value->kind == VALUE_TEXT)
        return expression_parse_number(value->text, ret_number);
    *ret_number = value->number;
    return value->kind == VALUE_NUMBER;
}

/* Less than, equal to, greater than 0 in `*ret_order`; false when they cannot be compared. */
static bool compare(const struct value *a, const struct value *b, int *ret_order)
{
    if (a->kind == VALUE_TEXT && b->kind == VALUE_TEXT) {
        *ret_order = slice_compare(a->text, b->text);
        return true;
    }
    if (a->kind == VALUE_FLAG && b->kind == VALUE_FLAG) {
        *ret_order = (a->flag > b->flag) - (a->flag < b->flag);
        return true;
    }
    double left, right;
    if (!as_number(a, &left) || !as_number(b, &right))
        return false;
    *ret_order = (left > right) - (left < right);
    return true;
}

static bool is_equal(const struct value *a, const struct value *b)
{
    if (a->kind == VALUE_TEXT && b->kind == VALUE_TEXT)
        return slice_equal(a->text, b->text);
    int order;
    return compare(a, b, &order) && order == 0;
}

static bool is_truthy(const struct value *value)
{
    switch (value->kind) {
    case VALUE_TEXT:
        return value->text.size > 0;
    case VALUE_NUMBER:
        return value->number < 0 || value->number > 0;
    case VALUE_FLAG:
        return value->flag;
    case VALUE_LIST:
        return value->count > 0;
    case VALUE_MISSING:
        break;
    }
    return false;
}

/* --- conditions */

static bool contains(const struct value *list, const struct value *item)
{
    for (size_t i = 0; i < list->count; i++)
        if (is_equal(&list->items[i], item))
            return true;
    return false;
}

/* A list, or text as a list with commas. */
static bool has(const struct value *container, const struct value *item)
{
    if (container->kind == VALUE_LIST)
        return contains(container, item);
    if (container->kind != VALUE_TEXT)
        return false;
    struct slice rest = container->text, part;
    while (slice_split(&rest, ',', &part)) {
        struct value member = {.kind = VALUE_TEXT, .text = slice_trim(part)};
        if (is_equal(&member, item))
            return true;
    }
    return false;
}

static bool is_ordered(enum term_kind kind, const struct value *a, const struct value *b)
{
    int order;
    if (!compare(a, b, &order))
        return false;
    switch ((int)kind) {
    case TERM_LESS:
        return order < 0;
    case TERM_AT_MOST:
        return order <= 0;
    case TERM_GREATER:
        return order > 0;
    default:
        return order >= 0;
    }
}

static bool matches(const struct term *term, const struct value *subject)
{
    struct slice groups[PATTERN_GROUPS_MAX];
    return subject->kind == VALUE_TEXT &&
           pattern_match(term->pattern, subject->text, false, groups) == OK;
}

static bool is_related(const struct term *term, const struct value *a, const struct value *b)
{
    bool is_texts = a->kind == VALUE_TEXT && b->kind == VALUE_TEXT;
    switch ((int)term->kind) {
    case TERM_EQUAL:
        return is_equal(a, b);
    case TERM_DIFFERENT:
        return !is_equal(a, b);
    case TERM_IN:
        return b->kind == VALUE_LIST && contains(b, a);
    case TERM_HAS:
        return has(a, b);
    case TERM_STARTS:
        return is_texts && slice_has_prefix(a->text, b->text);
    case TERM_ENDS:
        return is_texts && slice_has_suffix(a->text, b->text);
    default:
        return is_ordered(term->kind, a, b);
    }
}

/* A comparison: operands that are literals are not copied. */
static bool is_comparison_true(const struct term *term, struct exchange *x)
{
    struct value left, room;
    const struct value *right = &room;
    evaluate(term->left, x, &left);
    if (term->kind == TERM_MATCHES)
        return matches(term, &left);
    if (term->right->kind == TERM_LITERAL)
        right = &term->right->literal;
    else
        evaluate(term->right, x, &room);
    return is_related(term, &left, right);
}

static bool is_true(const struct term *term, struct exchange *x)
{
    for (;; term = term->right) {
        if (term->kind == TERM_AND) {
            if (!is_true(term->left, x))
                return false;
        } else if (term->kind == TERM_OR) {
            if (is_true(term->left, x))
                return true;
        } else {
            break;
        }
    }
    if (term->kind == TERM_NOT)
        return !is_true(term->left, x);
    if (term->kind >= TERM_EQUAL)
        return is_comparison_true(term, x);
    struct value value;
    evaluate(term, x, &value);
    return is_truthy(&value);
}

/* --- functions */

static char fold(enum term_kind kind, char c)
{
    char first = kind == TERM_LOWER ? 'A' : 'a';
    return c >= first && c <= first + 25 ? (char)(c ^ 0x20) : c;
}

/* ASCII letters alone; text that is so already is not copied. */
static struct slice change_case(enum term_kind kind, struct exchange *x, struct slice s)
{
    size_t same = 0;
    while (same < s.size && fold(kind, s.data[same]) == s.data[same])
        same++;
    if (same == s.size)
        return s;
    char *changed = arena_bytes(&x->arena, s.size);
    for (size_t i = 0; changed && i < s.size; i++)
        changed[i] = fold(kind, s.data[i]);
    return slice_of(changed, changed ? s.size : 0);
}

static struct slice hash_text(struct exchange *x, struct slice s)
{
    char room[16];
    uint64_t hash = hash_bytes(s);
    for (int i = 15; i >= 0; i--, hash >>= 4)
        room[i] = "0123456789abcdef"[hash & 15];
    return arena_copy(&x->arena, slice_of(room, sizeof room));
}

static void call(const struct term *term, struct exchange *x, struct value *value)
{
    evaluate(term->left, x, value);
    if (value->kind != VALUE_TEXT) {
        *value = MISSING;
        return;
    }
    value->text = term->kind == TERM_HASH ? hash_text(x, value->text)
                                          : change_case(term->kind, x, value->text);
    if (!value->text.data)
        *value = MISSING;
}

static void evaluate(const struct term *term, struct exchange *x, struct value *ret_value)
{
    while (term->kind == TERM_ELSE) {
        evaluate(term->left, x, ret_value);
        if (ret_value->kind != VALUE_MISSING)
            return;
        term = term->right;
    }
    if (term->kind == TERM_LITERAL) {
        *ret_value = term->literal;
        return;
    }
    *ret_value = MISSING;
    if (term->kind == TERM_ROOT)
        term->root->read(x, &term->operand, ret_value);
    else if (term->kind < TERM_EQUAL)
        call(term, x, ret_value);
    else
        *ret_value = (struct value){.kind = VALUE_FLAG, .flag = is_true(term, x)};
}

/* --- for callers */

bool expression_is_true(const struct expression *expression, struct exchange *x)
{
    return is_true(expression->top, x);
}

static struct slice number_text(struct exchange *x, double number)
{
    return arena_format(&x->arena, "%.15g", number);
}

static struct slice value_text(struct exchange *x, const struct value *value);

static struct slice list_text(struct exchange *x, const struct value *list)
{
    struct slice *parts = arena_array(&x->arena, 2 * list->count, sizeof *parts);
    if (!parts)
        return SLICE_NONE;
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            parts[count++] = SLICE(",");
        parts[count++] = value_text(x, &list->items[i]);
    }
    return arena_join(&x->arena, parts, count);
}

static struct slice value_text(struct exchange *x, const struct value *value)
{
    switch (value->kind) {
    case VALUE_TEXT:
        return value->text;
    case VALUE_NUMBER:
        return number_text(x, value->number);
    case VALUE_FLAG:
        return value->flag ? SLICE("true") : SLICE("false");
    case VALUE_LIST:
        return list_text(x, value);
    case VALUE_MISSING:
        break;
    }
    return SLICE_NONE;
}

bool expression_number(const struct expression *expression, struct exchange *x, double *ret_number)
{
    struct value value;
    evaluate(expression->top, x, &value);
    return as_number(&value, ret_number);
}

/* Terms nest no deeper than EXPRESSION_DEPTH_MAX. */
static enum expression_phase phase_of(const struct term *term)
{
    enum expression_phase phase = term->kind == TERM_ROOT ? term->root->phase : PHASE_REQUEST;
    if (term->left && phase_of(term->left) > phase)
        phase = phase_of(term->left);
    if (term->right && phase_of(term->right) > phase)
        phase = phase_of(term->right);
    return phase;
}

enum expression_phase expression_phase_of(const struct expression *expression)
{
    return phase_of(expression->top);
}

struct slice expression_text(const struct expression *expression, struct exchange *x)
{
    struct value value;
    evaluate(expression->top, x, &value);
    return value_text(x, &value);
}
