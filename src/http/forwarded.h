/* Who a request comes from, through proxies that stand before this one: Forwarded (RFC 7239),
 * X-Forwarded-*, Via.
 *
 * Anybody can write such fields, so only those of a trusted peer are believed, and of what it
 * passes on only the part that trusted proxies have written: the client is the right-most address
 * that is no trusted proxy. Whatever an untrusted peer sent of this kind is taken off,
 * X-Real-IP included, which is not written here. */
#pragma once

#include "http/exchange.h"

enum forwarded_style {
    FORWARDED_X,        /* X-Forwarded-For, -Host, -Port, -Proto */
    FORWARDED_STANDARD, /* Forwarded */
    FORWARDED_BOTH,
    FORWARDED_NONE,
};

/* Finds x->client and x->is_peer_trusted, given x->peer and the request's fields; and
 * request.scheme when a trusted peer names it in X-Forwarded-Proto. X-Forwarded-For is what nearly
 * every proxy keeps; so where it is, it counts, and Forwarded only where it is not: else a client
 * could send the one that its proxy does not know. A value that cannot be read ends the walk: the
 * client is then the last proxy that could be. LOOP_DETECTED when this gateway's name is in Via 10
 * times. */
enum status forwarded_read(struct exchange *x, const struct network *trusted, size_t count);

/* Puts the fields of that style on the request: what a trusted peer sent, continued by the peer's
 * own address; else new. Others of this kind are taken off, so that no two tell different stories.
 * With FORWARDED_NONE a trusted peer's fields stay as they are. NO_MEMORY. */
enum status forwarded_write(struct exchange *x, enum forwarded_style style);

/* Adds this gateway to Via (RFC 9110 §7.6.3) of a message that came with `version`. NO_MEMORY. */
enum status via_add(struct fields *fields, enum http_version version);
