#include "config/environment.h"

#include <stdlib.h>

#include "base/text.h"

#define NAME_MAX_SIZE 255

static const struct slice opening = SLICE_INIT("${");
static const struct slice escape = SLICE_INIT("$${");

static bool is_name_start(char c)
{
    return (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name(char c)
{
    return is_name_start(c) || (c >= '0' && c <= '9');
}

static bool is_variable(struct slice s)
{
    return slice_has_prefix(s, opening) && s.size > 2 && is_name_start(s.data[2]);
}

bool environment_is_used(struct slice text)
{
    for (size_t at; (at = slice_find(text, '$')) < text.size; text = slice_from(text, at + 1)) {
        struct slice rest = slice_from(text, at);
        if (slice_has_prefix(rest, escape) || is_variable(rest))
            return true;
    }
    return false;
}

struct expansion {
    struct text text, raw;
};

static void add(struct expansion *expansion, struct slice s)
{
    text_add(&expansion->text, s);
    text_add(&expansion->raw, s);
}

/* A value from outside, whose "${" mean nothing. */
static void add_value(struct expansion *expansion, struct slice value)
{
    text_add(&expansion->text, value);
    for (size_t at; (at = slice_find_slice(value, opening)) < value.size;) {
        text_add(&expansion->raw, slice_head(value, at));
        text_add(&expansion->raw, escape);
        value = slice_from(value, at + opening.size);
    }
    text_add(&expansion->raw, value);
}

static const char *look_up(struct slice name)
{
    char terminated[NAME_MAX_SIZE + 1];
    struct text text = text_fixed(terminated, sizeof terminated);
    text_add(&text, name);
    text_add_char(&text, '\0');
    return text.failed ? NULL : getenv(terminated);
}

/* Replaces the variable at the front of `s`; its size in `*ret_size`. */
static enum status expand_variable(struct expansion *expansion, struct slice s, size_t *ret_size,
    struct environment_problem *ret_problem)
{
    size_t end = opening.size;
    while (end < s.size && is_name(s.data[end]))
        end++;
    struct slice name = slice_from(slice_head(s, end), opening.size), rest = slice_from(s, end);
    bool has_default = slice_has_prefix(rest, SLICE(":-"));
    size_t closing = slice_find(rest, '}');
    if (name.size > NAME_MAX_SIZE || closing == rest.size || (closing && !has_default)) {
        *ret_problem = (struct environment_problem){0, end, SLICE_NONE};
        return INVALID;
    }
    *ret_size = end + closing + 1;
    const char *value = look_up(name);
    if (value && (*value || !has_default)) {
        add_value(expansion, slice_of_text(value));
    } else if (has_default) {
        add_value(expansion, slice_from(slice_head(rest, closing), 2));
    } else {
        *ret_problem = (struct environment_problem){0, *ret_size, name};
        return INVALID;
    }
    return OK;
}

static enum status expand_all(
    struct expansion *expansion, struct slice text, struct environment_problem *ret_problem)
{
    for (size_t i = 0; i < text.size;) {
        struct slice rest = slice_from(text, i);
        size_t size = slice_find(rest, '$');
        struct slice dollar = slice_from(rest, size);
        add(expansion, slice_head(rest, size));
        i += size;
        if (slice_has_prefix(dollar, escape)) {
            text_add(&expansion->text, opening);
            text_add(&expansion->raw, escape);
            i += escape.size;
        } else if (is_variable(dollar)) {
            enum status e = expand_variable(expansion, dollar, &size, ret_problem);
            if (e) {
                ret_problem->offset = i;
                return e;
            }
            i += size;
        } else if (dollar.size) {
            add(expansion, slice_head(dollar, 1));
            i++;
        }
    }
    return expansion->text.failed || expansion->raw.failed ? NO_MEMORY : OK;
}

enum status environment_expand(struct arena *arena, struct slice text, struct slice *ret_text,
    struct slice *ret_raw, struct environment_problem *ret_problem)
{
    struct expansion expansion = {text_growing(0), text_growing(0)};
    enum status e = expand_all(&expansion, text, ret_problem);
    if (!e) {
        struct slice plain = arena_copy(arena, text_slice(&expansion.text));
        struct slice raw = arena_copy(arena, text_slice(&expansion.raw));
        e = plain.data && raw.data ? OK : NO_MEMORY;
        if (!e) {
            *ret_text = plain;
            *ret_raw = raw;
        }
    }
    text_release(&expansion.text);
    text_release(&expansion.raw);
    return e;
}
