/* RESP, what Redis and Valkey speak, versions 2 and 3: commands written, replies read.
 *
 * A reply is read where it lies, token by token, without memory of its own: a list is a token with
 * the number of values that follow it. Of a reply whose bytes come in pieces resp_size says when it
 * is whole.
 *
 * Values that a reply cannot be made of are INVALID: streamed strings and lists, which no server
 * sends, and attributes, which none sends unasked. */
#pragma once

#include "base/slice.h"
#include "base/status.h"
#include "base/text.h"

#define RESP_LINE_MAX ((size_t)64 << 10) /* bytes of a value that is a line */
#define RESP_TEXT_MAX ((size_t)16 << 20) /* bytes of a string that says its size */
#define RESP_LIST_MAX ((int64_t)1 << 20) /* values in a list, and in all of a reply */

enum resp_kind {
    RESP_TEXT,    /* a string of any kind; also a number that is no int64_t, and a double */
    RESP_ERROR,   /* its text begins with a word in capitals: "ERR unknown command" */
    RESP_NUMBER,  /* also true and false: 1 and 0 */
    RESP_NOTHING, /* null */
    RESP_LIST,    /* `number` values follow, of a map twice as many as it has keys */
    RESP_PUSH     /* the same, but it is no reply: something that the server says by itself */
};

struct resp_token {
    enum resp_kind kind;
    struct slice text; /* in what was read */
    int64_t number;
};

/* The token at the front of `*rest`, which moves on behind it. INCOMPLETE, INVALID, TOO_LARGE. */
enum status resp_read(struct slice *rest, struct resp_token *ret_token);

/* How many bytes the whole value at the front takes. The same. */
enum status resp_size(struct slice bytes, size_t *ret_size);

/* Appends a command. */
void resp_write(struct text *text, const struct slice *words, size_t count);
