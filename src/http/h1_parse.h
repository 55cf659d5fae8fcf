/* Reading a head (RFC 9112 §2 to §5) as its bytes arrive. Of this floor alone: others use h1.h.
 *
 * The parser stands still where the bytes end and goes on from there, so the work is linear however
 * they are cut, and the verdict is the same: the first byte that is wrong is refused as soon as it
 * is seen. It judges the form of lines and, since it sees each field once, the fields that frame
 * the message. What the target and Host mean is for h1_request.c.
 *
 * Slices point into the bytes it was given. These may move between calls: the slices then move
 * along. */
#pragma once

#include "http/h1.h"

enum h1_kind { H1_REQUEST_HEAD, H1_RESPONSE_HEAD, H1_TRAILERS };

enum h1_phase {
    H1_AT_START, /* of a request: perhaps empty lines */
    H1_IN_METHOD,
    H1_IN_TARGET,
    H1_IN_VERSION,
    H1_IN_STATUS, /* version and status of a response */
    H1_IN_REASON,
    H1_AT_FIELD, /* the start of a field line, or of the last line */
    H1_IN_NAME,
    H1_IN_BLANKS, /* before the value */
    H1_IN_VALUE,
    H1_AT_END,
};

struct h1_parser {
    const struct h1_limits *limits; /* borrowed */
    struct fields *fields;          /* borrowed; gets the fields */
    const char *base;               /* the first byte of the head */
    const char *at;                 /* what is before has been looked at */
    const char *start;              /* of the part that is being read */
    const char *stop;               /* where looking ends: the bytes' end or a limit */
    enum h1_kind kind;
    enum h1_phase phase;
    enum http_version version;
    enum field_id id; /* of the field whose value is being read */
    struct slice name;
    struct slice method, target; /* of a request */
    int status;                  /* of a response */
    uint32_t count;              /* fields so far */
    bool has_length, is_chunked, has_host;
    uint64_t length;
};

/* `fields` must be empty and have an arena. */
void h1_parser_init(struct h1_parser *parser, enum h1_kind kind, const struct h1_limits *limits,
    struct fields *fields);

/* Goes on with all bytes that there are from the head's first on. OK: the head is whole, and
 * `*ret_size` bytes long. INCOMPLETE: more are needed. Otherwise it is refused: BAD_REQUEST_LINE
 * (status lines too), BAD_FIELD, BAD_FRAMING, BAD_HOST (more than one), VERSION_NOT_SUPPORTED,
 * NOT_IMPLEMENTED, TARGET_TOO_LONG, FIELDS_TOO_LARGE, NO_MEMORY. */
enum status h1_parse(struct h1_parser *parser, struct slice bytes, size_t *ret_size);

/* The bytes now lie elsewhere. */
void h1_parser_move(struct h1_parser *parser, const char *base);

/* True when the peer lets the connection live on after this message (RFC 9112 §9.3). */
bool h1_keeps_alive(const struct fields *fields, enum http_version version);

/* What a whole head in the arena means. `parser` has read it. */
enum status h1_finish_request(const struct h1_parser *parser, struct arena *arena,
    struct http_request *request, struct h1_framing *ret_framing);
enum status h1_finish_response(const struct h1_parser *parser, enum http_method method,
    struct http_response *response, struct h1_framing *ret_framing);
