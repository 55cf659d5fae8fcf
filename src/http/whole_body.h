/* A request's body that is read to its end before anybody acts on it, for policies that have to see
 * all of it: a signature over it, a digest, a fingerprint. Whoever comes after reads the same bytes
 * again, with the same length or none, the same trailers, and as often as he likes.
 *
 * It takes memory only for what has come, outside the exchange's arena, until the exchange ends. */
#pragma once

#include "http/exchange.h"

/* Reads what is left of x->request.body, at most `limit` bytes, by the exchange's deadline, and
 * puts it in its place; a client that waits for "100 Continue" is told to go on. The bytes live as
 * long as the exchange. A body that was taken before is not read again.
 *
 * BODY_TOO_LARGE, which a Content-Length says before anything is read; REQUEST_TIMEOUT,
 * CLIENT_CLOSED and what else can be wrong with a client's body; CANCELLED; NO_MEMORY. After a
 * failure the body cannot be used. */
enum status whole_body_take(struct exchange *x, size_t limit, struct slice *ret_bytes);
