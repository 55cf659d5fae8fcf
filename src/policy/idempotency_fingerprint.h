/* The fingerprint of a request, by which one that comes again under the same key is told from
 * another one: SHA-256 over its method, path, query, some of its fields, and its body.
 *
 * Of the query what counts is what it means: %41 is A, and the order in which parameters of
 * different names stand is all one, that of those with the same name is not. */
#pragma once

#include "config/option.h"
#include "http/exchange.h"
#include "run/tls.h"

struct idempotency_request {
    struct slice body;
    const struct option_list *fields; /* of struct slice: names of those that count; or NULL */
    bool is_anonymous; /* nobody knows who asks: what Authorization says counts too, so that one
                          client is never given another's answer */
};

/* Text of TLS_DIGEST_SIZE. NO_MEMORY. */
enum status idempotency_fingerprint(
    struct exchange *x, const struct idempotency_request *request, char ret_text[TLS_DIGEST_SIZE]);

/* The query in the one form; in the arena. Null data without memory. */
struct slice idempotency_query(struct arena *arena, struct slice query);
