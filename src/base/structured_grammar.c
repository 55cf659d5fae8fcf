#include "base/structured_grammar.h"

static bool is_small(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_letter(char c)
{
    return is_small((char)(c | 0x20));
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_one_of(char c, const char *letters)
{
    return c && strchr(letters, c);
}

size_t structured_key_size(struct slice s)
{
    if (!s.size || (!is_small(s.data[0]) && s.data[0] != '*'))
        return 0;
    size_t i = 1;
    while (
        i < s.size && (is_small(s.data[i]) || is_digit(s.data[i]) || is_one_of(s.data[i], "_-.*")))
        i++;
    return i;
}

size_t structured_token_size(struct slice s)
{
    if (!s.size || (!is_letter(s.data[0]) && s.data[0] != '*'))
        return 0;
    size_t i = 1;
    while (i < s.size && (is_letter(s.data[i]) || is_digit(s.data[i]) ||
                             is_one_of(s.data[i], "!#$%&'*+-.^_`|~:/")))
        i++;
    return i;
}
