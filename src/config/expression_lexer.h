/* The words and signs of an expression. */
#pragma once

#include "base/arena.h"
#include "base/status.h"

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,     /* header.x-plan, and, 10s: letters, digits, "_", "-", "." */
    TOKEN_NUMBER,   /* 12, -1.5 */
    TOKEN_TEXT,     /* "..." or '...' */
    TOKEN_SIGN,     /* == != < <= > >= ( ) [ ] , */
    TOKEN_UNCLOSED, /* text without its second quote */
    TOKEN_UNKNOWN,  /* anything else: one character, or signs of other languages (&& || = !) */
};

struct token {
    enum token_kind kind;
    struct slice text;   /* as written; of TOKEN_TEXT what is between the quotes */
    size_t offset, size; /* of what is written, bytes */
};

/* The token at or behind `offset`. */
struct token expression_next_token(struct slice source, size_t offset);

/* What the text of a TOKEN_TEXT means: backslashes before a quote or a backslash are gone. Null
 * data without memory. */
struct slice expression_unescape(struct arena *arena, struct slice text);
