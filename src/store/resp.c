#include "store/resp.h"

/* The line at the front, without its end. */
static enum status read_line(struct slice *rest, struct slice *ret_line)
{
    size_t end = slice_find(slice_head(*rest, RESP_LINE_MAX), '\n');
    if (end >= RESP_LINE_MAX)
        return TOO_LARGE;
    if (end == rest->size)
        return INCOMPLETE;
    if (end == 0 || rest->data[end - 1] != '\r')
        return INVALID;
    *ret_line = slice_head(*rest, end - 1);
    *rest = slice_of(rest->data + end + 1, rest->size - end - 1);
    return OK;
}

static bool read_number(struct slice line, int64_t *ret_number)
{
    uint64_t magnitude;
    bool is_negative = slice_has_prefix(line, SLICE("-"));
    bool has_sign = is_negative || slice_has_prefix(line, SLICE("+"));
    if (!slice_to_u64(slice_from(line, has_sign), &magnitude) ||
        magnitude > (uint64_t)INT64_MAX + is_negative)
        return false;
    *ret_number = (int64_t)(is_negative ? 0 - magnitude : magnitude);
    return true;
}

/* A string that says its size: its bytes, and the end of a line. */
static enum status read_bytes(struct slice *rest, int64_t size, struct slice *ret_text)
{
    if (size < 0)
        return INVALID;
    if ((uint64_t)size > RESP_TEXT_MAX)
        return TOO_LARGE;
    size_t bytes = (size_t)size;
    if (rest->size < bytes + 2)
        return INCOMPLETE;
    if (rest->data[bytes] != '\r' || rest->data[bytes + 1] != '\n')
        return INVALID;
    *ret_text = slice_head(*rest, bytes);
    *rest = slice_of(rest->data + bytes + 2, rest->size - bytes - 2);
    return OK;
}

/* What stands behind its size: strings, and the null of version 2. */
static enum status read_sized(char type, struct slice *rest, struct resp_token *token)
{
    if (type == '$' && token->number == -1) {
        token->kind = RESP_NOTHING;
        return OK;
    }
    token->kind = type == '!' ? RESP_ERROR : RESP_TEXT;
    enum status e = read_bytes(rest, token->number, &token->text);
    if (!e && type == '=') { /* "txt:" stands before what it is about */
        if (token->text.size < 4)
            return INVALID;
        token->text = slice_of(token->text.data + 4, token->text.size - 4);
    }
    return e;
}

static enum status read_list(char type, struct resp_token *token)
{
    if (type == '*' && token->number == -1) {
        token->kind = RESP_NOTHING;
        return OK;
    }
    if (token->number < 0)
        return INVALID;
    if (token->number > RESP_LIST_MAX / 2)
        return TOO_LARGE;
    token->kind = type == '>' ? RESP_PUSH : RESP_LIST;
    token->number *= type == '%' ? 2 : 1;
    return OK;
}

static enum status read_flag(struct resp_token *token)
{
    token->kind = RESP_NUMBER;
    token->number = slice_equal(token->text, SLICE("t"));
    return token->number || slice_equal(token->text, SLICE("f")) ? OK : INVALID;
}

/* By its type; `token` holds the line's text, and the number that it is where it is one. */
static enum status read_by_type(
    char type, struct slice *rest, bool is_number, struct resp_token *token)
{
    switch (type) {
    case '+':
    case ',':
    case '(':
        return OK;
    case '-':
        token->kind = RESP_ERROR;
        return OK;
    case '_':
        token->kind = RESP_NOTHING;
        return token->text.size ? INVALID : OK;
    case '#':
        return read_flag(token);
    case ':':
        token->kind = RESP_NUMBER;
        return is_number ? OK : INVALID;
    case '$':
    case '=':
    case '!':
        return is_number ? read_sized(type, rest, token) : INVALID;
    case '*':
    case '~':
    case '%':
    case '>':
        return is_number ? read_list(type, token) : INVALID;
    default:
        return INVALID;
    }
}

enum status resp_read(struct slice *rest, struct resp_token *ret_token)
{
    struct slice left = *rest;
    struct slice line;
    enum status e = read_line(&left, &line);
    if (e)
        return e;
    if (line.size == 0)
        return INVALID;
    struct resp_token token = {.kind = RESP_TEXT, .text = slice_from(line, 1)};
    bool is_number = read_number(token.text, &token.number);
    e = read_by_type(line.data[0], &left, is_number, &token);
    if (e)
        return e;
    *rest = left;
    *ret_token = token;
    return OK;
}

enum status resp_size(struct slice bytes, size_t *ret_size)
{
    struct slice rest = bytes;
    struct resp_token token;
    int64_t seen = 0;
    for (int64_t due = 1; due > 0; due--) {
        enum status e = ++seen > RESP_LIST_MAX ? TOO_LARGE : resp_read(&rest, &token);
        if (e)
            return e;
        if (token.kind == RESP_LIST || token.kind == RESP_PUSH)
            due += token.number;
    }
    *ret_size = bytes.size - rest.size;
    return OK;
}

void resp_write(struct text *text, const struct slice *words, size_t count)
{
    text_add_char(text, '*');
    text_add_u64(text, count);
    for (size_t i = 0; i < count; i++) {
        text_add_literal(text, "\r\n$");
        text_add_u64(text, words[i].size);
        text_add_literal(text, "\r\n");
        text_add(text, words[i]);
    }
    text_add_literal(text, "\r\n");
}
