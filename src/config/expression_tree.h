/* What an expression is compiled to, for the compiler and the evaluator alone: a tree of terms in
 * the arena, checked, so that evaluating needs no check and cannot fail. */
#pragma once

#include "config/expression_root.h"
#include "config/pattern.h"

/* Terms nest at most so deep: evaluating runs on a fiber's small stack. */
#define EXPRESSION_DEPTH_MAX 64

enum term_kind {
    TERM_LITERAL,
    TERM_ROOT,
    TERM_ELSE,
    TERM_LOWER,
    TERM_UPPER,
    TERM_HASH,
    /* From here on they are flags. */
    TERM_EQUAL,
    TERM_DIFFERENT,
    TERM_LESS,
    TERM_AT_MOST,
    TERM_GREATER,
    TERM_AT_LEAST,
    TERM_IN,
    TERM_HAS,
    TERM_MATCHES,
    TERM_STARTS,
    TERM_ENDS,
    TERM_NOT,
    TERM_AND,
    TERM_OR,
};

struct term {
    enum term_kind kind;
    enum value_type type;
    const struct term
        *left; /* the only operand of NOT and of functions; NULL of literals and roots */
    const struct term *right; /* NULL where there is none */
    union {
        struct value literal;
        struct {
            const struct expression_root *root;
            struct root_operand operand;
        };
        const struct pattern *pattern; /* of MATCHES */
    };
};

struct expression {
    const struct term *top;
    struct slice source;
};

/* A number as expressions and text from outside write it: "12", "-1.5". */
bool expression_parse_number(struct slice text, double *ret_number);
