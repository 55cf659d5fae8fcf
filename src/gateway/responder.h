/* Where a certificate's OCSP responder is asked, as the certificate says it: foreign bytes, which
 * end up in a request. Plain HTTP, since what comes back is signed. */
#pragma once

#include "base/arena.h"
#include "base/status.h"

struct responder {
    struct slice authority, host, path; /* of the URL, or the arena */
    uint16_t port;
};

/* Reads "http://ocsp.example/path". INVALID, NO_MEMORY. */
enum status responder_parse(struct arena *arena, struct slice url, struct responder *ret_responder);
