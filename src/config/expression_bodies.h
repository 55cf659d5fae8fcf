/* Numbers in bodies of JSON, for expressions: `response.body.usage.total_tokens`. Bodies are not
 * held for that; who wants such a value reads the body along as it passes (base/json_watch.h) for
 * the paths that the expression asks for, and shows the exchange what was found when it evaluates:
 *
 *     e = expression_body_paths(expression, false, &paths);
 *     json_watch_init(&watch, paths.items, paths.count);
 *     ...
 *     x->response_json = &watch;
 *     expression_number(expression, x, &number)
 *
 * Such expressions are compiled for PHASE_BODIES. */
#pragma once

#include "base/json_watch.h"
#include "config/expression_root.h"

struct json_paths {
    struct json_path items[JSON_WATCH_PATHS]; /* their names are borrowed from the expression */
    size_t count;
};

/* What the expression asks for of the request's bodies, or of the response's, each path once.
 * TOO_LARGE: more than JSON_WATCH_PATHS. */
enum status expression_body_paths(
    const struct expression *expression, bool is_request, struct json_paths *ret_paths);

/* For the compiler and the table of roots. */
bool expression_body_fits(struct slice path);
void read_request_body(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value);
void read_response_body(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value);
