/* Roots: the names with which expressions ask ("header.NAME", "client.ip"). Each is a row of a
 * table. The built-in rows are in expression_root.c; who brings more (an `auth` brings claims) puts
 * them into reader->roots, and they go before the built-in ones. */
#pragma once

#include "config/expression.h"

enum root_form {
    ROOT_ALONE, /* the name itself: method */
    ROOT_NAMED, /* one name behind a dot: header.x-plan */
    ROOT_PATH,  /* any number of them: claims.address.city */
};

/* What the types of values are known to be before there are any. */
enum value_type {
    TYPE_TEXT,
    TYPE_FOREIGN, /* text that a client or a service chose: it may be a number */
    TYPE_NUMBER,
    TYPE_FLAG,
    TYPE_LIST,
    TYPE_ANY, /* only known when evaluated */
};

/* What stands behind the root's name. */
struct root_operand {
    struct slice name;   /* all of it: "x-plan", "address.city" */
    enum field_id field; /* of the name, when it is one of a header field */
    struct slice *names; /* of ROOT_PATH: one each */
    size_t count;
};

struct expression_root {
    const char *name; /* with dots: "client.ip"; NULL ends a table */
    enum root_form form;
    enum value_type type;
    enum expression_phase phase; /* PHASE_RESPONSE: not before there is a response */
    /* Fetches the value; `*ret_value` is VALUE_MISSING already. May allocate in the exchange's
     * arena. */
    void (*read)(struct exchange *x, const struct root_operand *operand, struct value *ret_value);
    const char *why_not; /* what is said when the reader has no claims; a sentence with the way out;
                            NULL: it needs none */
    const char *help;
    bool is_parameter; /* what stands behind it is one of reader->parameters */
};

extern const struct expression_root expression_roots[];

/* The row that a dotted word means, and what stands behind its name; NULL when there is none. */
const struct expression_root *expression_root_find(
    const struct expression_root *roots, struct slice word, struct slice *ret_rest);
