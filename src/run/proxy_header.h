/* The PROXY protocol (HAProxy's proxy-protocol.txt, versions 1 and 2): what a balancer in front
 * says, before anything else on a connection, about the client that it speaks for.
 *
 * Parsing keeps no state and takes bytes as they come. As long as a header is not whole, it says
 * how many bytes at least are still the header's: who reads no more than that never takes away what
 * comes behind it (a request, a TLS handshake), which belongs to another reader.
 *
 * Who may speak so is the listener's business: only peers that it trusts. */
#pragma once

#include "run/address.h"

enum proxy_version { PROXY_NONE, PROXY_V1, PROXY_V2 };

struct proxy_header {
    bool is_local;              /* no addresses: those of the connection itself count */
    struct address source;      /* the client, unless `is_local` */
    struct address destination; /* where it connected */
};

#define PROXY_HEADER_MAX 4096 /* bytes that are taken for a header, with all its additions */

/* Reads the header at the front of `bytes`. OK: `*ret_size` bytes are it. INCOMPLETE: `*ret_size`
 * is what it has at least. INVALID: it is none. TOO_LARGE. */
enum status proxy_header_parse(
    struct slice bytes, struct proxy_header *ret_header, size_t *ret_size);

#define PROXY_HEADER_ROOM 108 /* what one that is written needs */

/* Writes one and returns its size. Addresses of which the protocol cannot speak (unix sockets) are
 * said to be unknown. NULL for both: the connection is nobody's but ours, as a health check's. */
size_t proxy_header_write(enum proxy_version version, const struct address *source,
    const struct address *destination, char room[PROXY_HEADER_ROOM]);
