#include "base/structured_field.h"

#include "base/base64.h"
#include "base/structured_grammar.h"
#include "base/utf8.h"

/* What is left of the text. */
struct parser {
    struct arena *arena;
    struct slice rest;
};

/* The next byte, or NUL, which no rule takes. */
static char peek(const struct parser *parser)
{
    return parser->rest.size ? parser->rest.data[0] : '\0';
}

static void skip(struct parser *parser, size_t size)
{
    parser->rest = slice_from(parser->rest, size);
}

static bool skip_char(struct parser *parser, char c)
{
    if (!parser->rest.size || parser->rest.data[0] != c)
        return false;
    skip(parser, 1);
    return true;
}

static void skip_spaces(struct parser *parser)
{
    while (skip_char(parser, ' '))
        ;
}

static void skip_blanks(struct parser *parser)
{
    while (skip_char(parser, ' ') || skip_char(parser, '\t'))
        ;
}

static struct slice take(struct parser *parser, size_t size)
{
    struct slice taken = slice_head(parser->rest, size);
    skip(parser, size);
    return taken;
}

static enum status parse_key(struct parser *parser, struct slice *ret_key)
{
    size_t size = structured_key_size(parser->rest);
    if (!size)
        return INVALID;
    *ret_key = take(parser, size);
    return OK;
}

static size_t digits_size(struct slice s)
{
    size_t size = 0;
    while (size < s.size && s.data[size] >= '0' && s.data[size] <= '9')
        size++;
    return size;
}

static int64_t digits_value(struct slice digits)
{
    int64_t value = 0;
    for (size_t i = 0; i < digits.size; i++)
        value = value * 10 + (digits.data[i] - '0');
    return value;
}

static enum status parse_number(struct parser *parser, struct structured_value *ret_value)
{
    int sign = skip_char(parser, '-') ? -1 : 1;
    struct slice whole = take(parser, digits_size(parser->rest));
    if (whole.size < 1 || whole.size > 15)
        return INVALID;
    *ret_value = structured_integer(sign * digits_value(whole));
    if (!skip_char(parser, '.'))
        return OK;
    struct slice fraction = take(parser, digits_size(parser->rest));
    if (whole.size > 12 || fraction.size < 1 || fraction.size > 3)
        return INVALID;
    int64_t thousandths = digits_value(fraction);
    for (size_t i = fraction.size; i < 3; i++)
        thousandths *= 10;
    *ret_value = (struct structured_value){
        .type = STRUCTURED_DECIMAL, .number = sign * (digits_value(whole) * 1000 + thousandths)};
    return OK;
}

static enum status parse_date(struct parser *parser, struct structured_value *ret_value)
{
    struct structured_value number;
    skip(parser, 1);
    enum status e = parse_number(parser, &number);
    if (e || number.type != STRUCTURED_INTEGER)
        return INVALID;
    *ret_value = (struct structured_value){.type = STRUCTURED_DATE, .number = number.number};
    return OK;
}

static enum status parse_boolean(struct parser *parser, struct structured_value *ret_value)
{
    skip(parser, 1);
    bool is_true = peek(parser) == '1';
    if (!is_true && peek(parser) != '0')
        return INVALID;
    skip(parser, 1);
    *ret_value = structured_boolean(is_true);
    return OK;
}

/* The inside of a string up to its closing quote, which is left; `escape` and the byte after it
 * belong to it. */
static enum status take_quoted(
    struct parser *parser, char escape, struct slice *ret_inside, bool *ret_has_escapes)
{
    size_t i = 0;
    *ret_has_escapes = false;
    for (; i < parser->rest.size && parser->rest.data[i] != '"'; i++) {
        char c = parser->rest.data[i];
        if (!structured_is_printable(c))
            return INVALID;
        if (c == escape) {
            *ret_has_escapes = true;
            i++;
        }
    }
    if (i >= parser->rest.size)
        return INVALID;
    *ret_inside = take(parser, i);
    return OK;
}

static enum status unescape(struct parser *parser, struct slice inside, struct slice *ret_text)
{
    char *text = arena_bytes(parser->arena, inside.size);
    size_t size = 0;
    if (!text)
        return NO_MEMORY;
    for (size_t i = 0; i < inside.size; i++) {
        if (inside.data[i] == '\\' && inside.data[++i] != '"' && inside.data[i] != '\\')
            return INVALID;
        text[size++] = inside.data[i];
    }
    *ret_text = slice_of(text, size);
    return OK;
}

static enum status parse_string(struct parser *parser, struct structured_value *ret_value)
{
    struct slice inside;
    bool has_escapes;
    skip(parser, 1);
    enum status e = take_quoted(parser, '\\', &inside, &has_escapes);
    if (!e && has_escapes)
        e = unescape(parser, inside, &inside);
    if (e)
        return e;
    skip(parser, 1);
    *ret_value = structured_string(inside);
    return OK;
}

/* Only small letters are hexadecimal digits here (§4.2.10). */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum status decode_percent(
    struct parser *parser, struct slice inside, struct slice *ret_text)
{
    char *text = arena_bytes(parser->arena, inside.size);
    size_t size = 0;
    if (!text)
        return NO_MEMORY;
    for (size_t i = 0; i < inside.size; i++) {
        if (inside.data[i] != '%') {
            text[size++] = inside.data[i];
            continue;
        }
        int high = inside.size - i > 2 ? hex_value(inside.data[i + 1]) : -1;
        int low = inside.size - i > 2 ? hex_value(inside.data[i + 2]) : -1;
        if (high < 0 || low < 0)
            return INVALID;
        text[size++] = (char)(high << 4 | low);
        i += 2;
    }
    *ret_text = slice_of(text, size);
    return utf8_is_valid(*ret_text) ? OK : INVALID;
}

static enum status parse_display(struct parser *parser, struct structured_value *ret_value)
{
    struct slice inside;
    bool has_escapes; /* none: a percent sign never hides a quote */
    skip(parser, 1);
    if (!skip_char(parser, '"'))
        return INVALID;
    enum status e = take_quoted(parser, '\0', &inside, &has_escapes);
    if (!e)
        e = decode_percent(parser, inside, &inside);
    if (e)
        return e;
    skip(parser, 1);
    *ret_value = (struct structured_value){.type = STRUCTURED_DISPLAY, .text = inside};
    return OK;
}

/* Padding is not insisted on, as §4.2.7 asks. */
static enum status parse_bytes(struct parser *parser, struct structured_value *ret_value)
{
    skip(parser, 1);
    size_t end = slice_find(parser->rest, ':');
    if (end == parser->rest.size)
        return INVALID;
    struct slice text = take(parser, end);
    size_t size;
    char *bytes = arena_bytes(parser->arena, base64_decoded_size(text.size));
    if (!bytes)
        return NO_MEMORY;
    if (!base64_decode(text, BASE64_LENIENT, bytes, &size))
        return INVALID;
    skip(parser, 1);
    *ret_value = (struct structured_value){.type = STRUCTURED_BYTES, .text = {bytes, size}};
    return OK;
}

static enum status parse_token(struct parser *parser, struct structured_value *ret_value)
{
    size_t size = structured_token_size(parser->rest);
    if (!size)
        return INVALID;
    *ret_value = structured_token(take(parser, size));
    return OK;
}

static enum status parse_value(struct parser *parser, struct structured_value *ret_value)
{
    switch (peek(parser)) {
    case '"':
        return parse_string(parser, ret_value);
    case ':':
        return parse_bytes(parser, ret_value);
    case '?':
        return parse_boolean(parser, ret_value);
    case '@':
        return parse_date(parser, ret_value);
    case '%':
        return parse_display(parser, ret_value);
    case '-':
        return parse_number(parser, ret_value);
    default:
        return digits_size(slice_head(parser->rest, 1)) ? parse_number(parser, ret_value)
                                                        : parse_token(parser, ret_value);
    }
}

/* The place of the parameter with that key: a new one at the end when there is none yet. */
static enum status find_parameter(struct parser *parser, struct structured_parameter **first,
    struct slice key, struct structured_parameter **ret_parameter)
{
    size_t count = 0;
    for (; *first; first = &(*first)->next, count++)
        if (slice_equal((*first)->key, key)) {
            *ret_parameter = *first;
            return OK;
        }
    if (count == STRUCTURED_PARAMETERS_MAX)
        return TOO_LARGE;
    struct structured_parameter *parameter = arena_new(parser->arena, struct structured_parameter);
    if (!parameter)
        return NO_MEMORY;
    parameter->key = key;
    *ret_parameter = *first = parameter;
    return OK;
}

static enum status parse_parameters(struct parser *parser, struct structured_parameter **first)
{
    while (skip_char(parser, ';')) {
        struct slice key;
        struct structured_value value = structured_boolean(true);
        struct structured_parameter *parameter;
        skip_spaces(parser);
        enum status e = parse_key(parser, &key);
        if (!e && skip_char(parser, '='))
            e = parse_value(parser, &value);
        if (!e)
            e = find_parameter(parser, first, key, &parameter);
        if (e)
            return e;
        parameter->value = value;
    }
    return OK;
}

static enum status parse_item(struct parser *parser, struct structured_member *member)
{
    enum status e = parse_value(parser, &member->value);
    return e ? e : parse_parameters(parser, &member->parameters);
}

static enum status parse_inner_list(struct parser *parser, struct structured_member *member)
{
    struct structured_member **tail = &member->items;
    member->value.type = STRUCTURED_INNER_LIST;
    skip(parser, 1);
    for (size_t count = 0;; count++) {
        skip_spaces(parser);
        if (skip_char(parser, ')'))
            return parse_parameters(parser, &member->parameters);
        if (count == STRUCTURED_ITEMS_MAX)
            return TOO_LARGE;
        struct structured_member *item = arena_new(parser->arena, struct structured_member);
        enum status e = item ? parse_item(parser, item) : NO_MEMORY;
        if (e)
            return e;
        if (peek(parser) != ' ' && peek(parser) != ')')
            return INVALID;
        *tail = item;
        tail = &item->next;
    }
}

static enum status parse_member(struct parser *parser, struct structured_member *member)
{
    return peek(parser) == '(' ? parse_inner_list(parser, member) : parse_item(parser, member);
}

static enum status parse_dictionary_member(struct parser *parser, struct structured_member *member)
{
    enum status e = parse_key(parser, &member->key);
    if (e)
        return e;
    if (skip_char(parser, '='))
        return parse_member(parser, member);
    member->value = structured_boolean(true);
    return parse_parameters(parser, &member->parameters);
}

/* Goes past the comma between two members; false when something else stands there, or nothing
 * behind it. */
static bool skip_comma(struct parser *parser)
{
    if (!skip_char(parser, ','))
        return false;
    skip_blanks(parser);
    return parser->rest.size;
}

struct members {
    struct structured_member *first, **tail;
    size_t count;
};

/* Hangs the member at the end, or puts it in the place of the one with its key. */
static enum status add_member(
    struct members *members, struct structured_member *member, bool is_dictionary)
{
    struct structured_member *older = is_dictionary ? members->first : NULL;
    while (older && !slice_equal(older->key, member->key))
        older = older->next;
    if (older) {
        member->next = older->next;
        *older = *member;
        return OK;
    }
    if (members->count++ == STRUCTURED_MEMBERS_MAX)
        return TOO_LARGE;
    *members->tail = member;
    members->tail = &member->next;
    return OK;
}

static enum status parse_next_member(
    struct parser *parser, bool is_dictionary, struct members *members)
{
    struct structured_member *member = arena_new(parser->arena, struct structured_member);
    if (!member)
        return NO_MEMORY;
    enum status e =
        is_dictionary ? parse_dictionary_member(parser, member) : parse_member(parser, member);
    return e ? e : add_member(members, member, is_dictionary);
}

static enum status parse_members(struct arena *arena, struct slice text, bool is_dictionary,
    struct structured_member **ret_first)
{
    struct parser parser = {arena, text};
    struct members members = {.tail = &members.first};
    skip_spaces(&parser);
    while (parser.rest.size) {
        enum status e = parse_next_member(&parser, is_dictionary, &members);
        if (e)
            return e;
        skip_blanks(&parser);
        if (parser.rest.size && !skip_comma(&parser))
            return INVALID;
    }
    *ret_first = members.first;
    return OK;
}

enum status structured_parse_list(
    struct arena *arena, struct slice text, struct structured_member **ret_first)
{
    return parse_members(arena, text, false, ret_first);
}

enum status structured_parse_dictionary(
    struct arena *arena, struct slice text, struct structured_member **ret_first)
{
    return parse_members(arena, text, true, ret_first);
}

enum status structured_parse_item(
    struct arena *arena, struct slice text, struct structured_member *ret_item)
{
    struct parser parser = {arena, text};
    struct structured_member item = {.next = NULL};
    skip_spaces(&parser);
    enum status e = parse_item(&parser, &item);
    if (e)
        return e;
    skip_spaces(&parser);
    if (parser.rest.size)
        return INVALID;
    *ret_item = item;
    return OK;
}

const struct structured_member *structured_get(
    const struct structured_member *first, struct slice key)
{
    while (first && !slice_equal(first->key, key))
        first = first->next;
    return first;
}

const struct structured_value *structured_get_parameter(
    const struct structured_member *member, struct slice key)
{
    for (struct structured_parameter *p = member->parameters; p; p = p->next)
        if (slice_equal(p->key, key))
            return &p->value;
    return NULL;
}
