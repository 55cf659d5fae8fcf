/* Where a certificate's OCSP responder is asked, as the certificate says it: foreign bytes, which
 * end up in a request. Plain HTTP, since what comes back is signed. */
#pragma once

#include "http/fetch.h"

/* Reads "http://ocsp.example/path"; in the arena. INVALID, NO_MEMORY. */
enum status responder_parse(
    struct arena *arena, struct slice url, struct fetch_place *ret_responder);
