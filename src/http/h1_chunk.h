/* The lines between the data of chunks (RFC 9112 §7.1), byte by byte. Of this floor alone. */
#pragma once

#include "http/h1.h"

/* Where a body stands: h1_body.state. */
enum h1_body_state {
    H1_BODY_LENGTH,
    H1_BODY_UNTIL_CLOSE,
    H1_CHUNK_BEGIN, /* the first digit of a size */
    H1_CHUNK_SIZE,
    H1_CHUNK_NAME_BEGIN, /* of an extension */
    H1_CHUNK_NAME,
    H1_CHUNK_VALUE_BEGIN,
    H1_CHUNK_VALUE,
    H1_CHUNK_QUOTED,
    H1_CHUNK_ESCAPED,  /* behind a backslash */
    H1_CHUNK_UNQUOTED, /* behind the closing quote */
    H1_CHUNK_LF,
    H1_CHUNK_DATA,
    H1_CHUNK_DATA_CR,
    H1_CHUNK_DATA_LF,
    H1_BODY_TRAILERS,
    H1_BODY_COMPLETE,
};

/* Goes on by one byte that is not data. BAD_CHUNK. */
enum status h1_chunk_step(struct h1_body *body, char c);

/* Removes the trailer fields that would change how the message is framed, routed, understood or
 * trusted: readers that merge trailers into the head would be deceived (RFC 9110 §6.5.1). */
void h1_drop_forbidden_trailers(struct fields *trailers);
