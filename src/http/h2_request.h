/* Requests of HTTP/2 (RFC 9113 §8): from the fields of a header section to a request that means the
 * same as one of HTTP/1.1, so that nothing is smuggled when it is sent on as such.
 *
 * Fields are given one by one as they are decoded, then the section is finished. What is wrong is
 * remembered: decoding must go on, since the table that compresses fields is the connection's, but
 * nothing more is kept. Names and values are copied into the arena. */
#pragma once

#include "http/h1.h"
#include "http/h2_fields.h"

struct h2_request_head {
    struct http_request *request;   /* borrowed; its fields stand and are empty */
    const struct h1_limits *limits; /* borrowed: line, head, fields, encoded_slash */
    struct h2_budget budget;
    struct slice method, scheme, path, authority;
    struct slice protocol; /* of an extended CONNECT (RFC 8441); null data: none */
    struct text cookie;    /* joined so far */
    bool has_cookie;
    bool is_regular;   /* a field without a colon has come: no pseudo-header may follow */
    bool is_malformed; /* by RFC 9113: a stream error, and not only an answer */
    enum status failure;
    bool has_length;
    uint64_t length;
};

/* What the finished head says of the body. */
struct h2_request_framing {
    int64_t length; /* that content-length promises, or BODY_LENGTH_UNKNOWN */
    bool expects_continue;
    bool is_websocket; /* an extended CONNECT asks for a WebSocket (RFC 8441): the stream goes on as
                          that, and there is no body */
};

void h2_request_begin(
    struct h2_request_head *head, struct http_request *request, const struct h1_limits *limits);

/* One more field. */
void h2_request_field(struct h2_request_head *head, struct slice name, struct slice value);

/* The section is whole: fills the request but for scheme and body. `is_end`: the message ends with
 * it. Fails with BAD_REQUEST_LINE, BAD_FIELD, BAD_FRAMING, BAD_HOST, BAD_PATH, TARGET_TOO_LONG,
 * FIELDS_TOO_LARGE, EXPECTATION_FAILED, BAD_HANDSHAKE, NO_MEMORY; what the request was until then
 * is there, for the log. head->is_malformed says whether RFC 9113 demands a stream error (§8.1.1).
 */
enum status h2_request_finish(
    struct h2_request_head *head, bool is_end, struct h2_request_framing *ret_framing);

/* One field of a trailer section (§8.1): BAD_FIELD for pseudo-headers and whatever may not stand in
 * any section; FIELDS_TOO_LARGE, NO_MEMORY. */
enum status h2_trailer_field(
    struct fields *trailers, struct h2_budget *budget, struct slice name, struct slice value);
