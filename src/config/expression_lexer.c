#include "config/expression_lexer.h"

#include "base/utf8.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' || c == '-' ||
           c == '.';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t word_size(struct slice s)
{
    size_t size = 0;
    while (size < s.size && is_word(s.data[size]))
        size++;
    return size;
}

/* Digits, perhaps a minus before and a point within. */
static bool is_number(struct slice s)
{
    size_t i = s.data[0] == '-', points = 0;
    size_t digits = s.size - i;
    for (; i < s.size; i++) {
        if (s.data[i] == '.')
            points++;
        else if (!is_digit(s.data[i]))
            return false;
    }
    return digits > points && points <= 1 && is_digit(s.data[s.size - 1]) && s.data[0] != '.';
}

/* Two characters first. */
static size_t sign_size(struct slice s)
{
    static const char *const signs[] = {
        "==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", ",", NULL};
    for (const char *const *sign = signs; *sign; sign++)
        if (slice_has_prefix(s, slice_of_text(*sign)))
            return strlen(*sign);
    return 0;
}

static size_t unknown_size(struct slice s)
{
    if (slice_has_prefix(s, SLICE("&&")) || slice_has_prefix(s, SLICE("||")))
        return 2;
    size_t size = utf8_size(s);
    return size ? size : 1;
}

static struct token text_token(struct slice s, size_t offset)
{
    char quote = s.data[0];
    for (size_t i = 1; i < s.size; i++) {
        if (s.data[i] == '\\' && i + 1 < s.size)
            i++;
        else if (s.data[i] == quote)
            return (struct token){TOKEN_TEXT, slice_of(s.data + 1, i - 1), offset, i + 1};
    }
    return (struct token){TOKEN_UNCLOSED, s, offset, s.size};
}

struct token expression_next_token(struct slice source, size_t offset)
{
    while (offset < source.size && is_blank(source.data[offset]))
        offset++;
    struct slice s = slice_from(source, offset);
    if (s.size == 0)
        return (struct token){TOKEN_END, SLICE_NONE, source.size, 0};
    if (s.data[0] == '"' || s.data[0] == '\'')
        return text_token(s, offset);
    enum token_kind kind = TOKEN_WORD;
    size_t size = word_size(s);
    if (size && is_number(slice_head(s, size)))
        kind = TOKEN_NUMBER;
    if (!size) {
        kind = TOKEN_SIGN;
        size = sign_size(s);
    }
    if (!size) {
        kind = TOKEN_UNKNOWN;
        size = unknown_size(s);
    }
    return (struct token){kind, slice_head(s, size), offset, size};
}

struct slice expression_unescape(struct arena *arena, struct slice text)
{
    char *plain = arena_bytes(arena, text.size);
    size_t size = 0;
    if (!plain)
        return SLICE_NONE;
    for (size_t i = 0; i < text.size; i++) {
        char next = i + 1 < text.size ? text.data[i + 1] : '\0';
        if (text.data[i] == '\\' && (next == '"' || next == '\'' || next == '\\'))
            i++;
        plain[size++] = text.data[i];
    }
    return slice_of(plain, size);
}
