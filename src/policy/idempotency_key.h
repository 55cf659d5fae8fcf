/* Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): the text by which a client calls a
 * request that it may send again, and under which name the store keeps what became of it.
 *
 * The field is a Structured Fields string (`"8e03978e-…"`); what many clients send, the same
 * without quotes, is taken too, and means the same. */
#pragma once

#include "http/exchange.h"
#include "run/tls.h"

#define IDEMPOTENCY_KEY_MAX ((size_t)255) /* bytes */

/* Reads a field's value, of several lines joined by ", ". INVALID: it is no key, or too long, or
 * there are several. NO_MEMORY. */
enum status idempotency_key_parse(struct arena *arena, struct slice value, struct slice *ret_key);

/* The request's. NOT_FOUND: it has none; else as above. */
enum status idempotency_key_of(struct exchange *x, struct slice *ret_key);

/* Who a key belongs to: what `per` gives, else issuer and subject of the claims. Null data: nobody
 * knows. Two that differ never give the same. */
struct slice idempotency_principal(struct exchange *x, struct slice per);

/* What the store calls it: a digest of policy, route, principal and key, so that a key alone never
 * finds anything. In the exchange's arena. NO_MEMORY. */
enum status idempotency_name(struct exchange *x, struct slice policy, struct slice principal,
    struct slice key, struct slice *ret_name);
