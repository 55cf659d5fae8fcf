/* Expressions: what a configuration may ask of an exchange. Total, typed, checked when loaded, no
 * loops.
 *
 *     client.ip   peer.ip   method   host   path   query   scheme   request.id   listener   route
 * service header.NAME   cookie.NAME   query.NAME   path.NAME (a parameter of the route) claims.a.b
 * (when an `auth` brings them) response.status   response.header.NAME   request.body.a.b (numbers
 * in bodies of JSON, where they are read along) "text"  12  true        == != <  <=  >  >=   and or
 * not   ( ) a in ["x", "y"]   claims.roles has buyer   a matches "regex" a starts "x"   a ends "x"
 * a else b (b when a is missing)   lower(a)   upper(a)   hash(a)
 *
 * What binds tighter: else, then comparisons, then not, then and, then or. A bare word on the right
 * of `has`, `==`, `!=` and in lists is text, unless it has a dot and begins like one of the names
 * above (header.x-kind). Text stands in " or '; a backslash is only needed before the quote and
 * before a backslash that ends the text. A missing value is neither equal to nor less than anything
 * (so `!=` is true), and false. Text that came from outside (header, cookie, query, path) compares
 * with a number if it is one. `has` looks into lists, and into text as a list with commas.
 *
 * A template is text with `${expression}` in it. */
#pragma once

#include "config/option.h"
#include "http/exchange.h"

struct expression;
struct template;

enum value_kind { VALUE_MISSING, VALUE_TEXT, VALUE_NUMBER, VALUE_FLAG, VALUE_LIST };

struct value {
    enum value_kind kind;
    struct slice text; /* valid as long as the exchange */
    double number;
    bool flag;
    const struct value *items; /* of a list */
    size_t count;
};

/* When an expression is used: before the response exists, when its head is there, when all of it is
 * sent, or then by who has read the bodies along (expression_bodies.h). What cannot be known then
 * is an error at load. */
enum expression_phase { PHASE_REQUEST, PHASE_RESPONSE, PHASE_END, PHASE_BODIES };

/* Compiles a scalar node; complains to reader->diagnostics with the place inside the text. */
enum status expression_compile(struct reader *reader, const struct node *node,
    enum expression_phase phase, struct expression **ret_expression);

/* Compiles text that is `offset` bytes inside a scalar (the tail of a phrase: "hash
 * cookie.session"). */
enum status expression_compile_part(struct reader *reader, const struct node *node, size_t offset,
    size_t size, enum expression_phase phase, struct expression **ret_expression);

/* As a condition: missing, false, empty text, 0 and the empty list are false. */
bool expression_is_true(const struct expression *expression, struct exchange *x);

/* As text; null data when it is missing. */
struct slice expression_text(const struct expression *expression, struct exchange *x);

/* As a number, which text from outside may be; false when it is none. */
bool expression_number(const struct expression *expression, struct exchange *x, double *ret_number);

/* The first at which all is known that it asks for. */
enum expression_phase expression_phase_of(const struct expression *expression);

enum status template_compile(struct reader *reader, const struct node *node,
    enum expression_phase phase, struct template **ret_template);

/* Missing parts are empty. Null data only without memory. A template without ${} costs nothing. */
struct slice template_render(const struct template *template, struct exchange *x);

/* True when it is text alone. */
bool template_is_constant(const struct template *template);

/* The text as written, for `fmt`, logs and keys. */
struct slice expression_source(const struct expression *expression);
