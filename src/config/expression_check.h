/* The compiler of expressions: its state, its complaints, and the checks of types. */
#pragma once

#include "config/expression_lexer.h"
#include "config/expression_tree.h"

struct compiler {
    struct reader *reader;   /* borrowed */
    const struct node *node; /* borrowed: for places */
    size_t base;             /* where `source` begins in the node's text */
    struct slice source;
    enum expression_phase phase;
    struct token token; /* the next one, not yet taken */
    size_t depth;
    enum status status; /* why a function returned NULL or false */
};

/* Diagnoses at a token; always returns NULL. */
struct term *compiler_complain(struct compiler *c, const struct token *token, struct slice hint,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Whether two values can be equal at all; else complains at `token`. */
bool compiler_check_equal(struct compiler *c, const struct token *token, const struct term *left,
    const struct term *right);

/* Whether a term can be text. */
bool compiler_check_text(struct compiler *c, const struct token *token, const struct term *term);

/* Checks the operands of a term with two, and finishes it (its type, its pattern). `sign` is the
 * operator, `right` the first token behind it. */
bool compiler_check_binary(
    struct compiler *c, const struct token *sign, const struct token *right, struct term *term);
