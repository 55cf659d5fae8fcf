/* Conditional requests (RFC 9110 §13) on something that has an entity tag and a time. */
#pragma once

#include "http/message.h"

struct validators {
    struct slice etag;     /* strong, in quotes */
    int64_t last_modified; /* seconds since 1970 */
    int64_t now;           /* seconds since 1970 */
};

enum condition_verdict { CONDITION_PROCEED, CONDITION_NOT_MODIFIED, CONDITION_FAILED };

/* In the order of §13.2.2: If-Match, else If-Unmodified-Since; then If-None-Match, else
 * If-Modified-Since. */
enum condition_verdict condition_evaluate(
    const struct http_request *request, const struct validators *validators);

/* Whether a Range may be served: true without If-Range, or when that names just this representation
 * (§13.1.5). */
bool condition_if_range(const struct http_request *request, const struct validators *validators);

/* True when the tag is in a list of them ("*" is every one). Weak ones match only if `weak`. */
bool etag_list_has(struct slice list, struct slice etag, bool weak);
