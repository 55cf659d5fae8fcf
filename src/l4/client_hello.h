/* The ClientHello of a TLS connection, read without taking part in it (RFC 8446 §4.1.2, RFC 6066
 * §3, RFC 7301 §3.1): which server the client wants, and which protocols it speaks. The bytes are
 * then sent on to that server as they are.
 *
 * Parsing keeps no state: it is given all that has come so far, again and again, until that is a
 * whole hello. It may be spread over records, and has several KiB when post-quantum keys are in it.
 * What is looked at is bounded, in bytes, records and extensions, so that a peer that sends one
 * byte at a time cannot make it dear. */
#pragma once

#include "base/slice.h"
#include "base/status.h"

#define CLIENT_HELLO_MAX       ((size_t)16 * 1024)               /* of the message */
#define CLIENT_HELLO_BYTES_MAX (CLIENT_HELLO_MAX + (size_t)1024) /* with its records' heads */

struct client_hello {
    char name[255];      /* the server's, in lower case, without a dot at its end */
    size_t name_size;    /* 0: the client names none */
    char protocols[256]; /* of ALPN: each with its length in front */
    size_t protocols_size;
};

/* OK; INCOMPLETE; INVALID: this is no ClientHello; TOO_LARGE. */
enum status client_hello_parse(struct slice bytes, struct client_hello *ret_hello);

static inline struct slice client_hello_name(const struct client_hello *hello)
{
    return slice_of(hello->name, hello->name_size);
}

/* Takes the next protocol off the front of `*rest`, which begins as all of them; false behind the
 * last. */
struct slice client_hello_protocols(const struct client_hello *hello);
bool client_hello_next_protocol(struct slice *rest, struct slice *ret_protocol);

/* True when the client speaks it. */
bool client_hello_offers(const struct client_hello *hello, struct slice protocol);
