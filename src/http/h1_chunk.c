#include "http/h1_chunk.h"

#include "http/scan.h"

#define SIZE_DIGITS_MAX 16

static enum status to(struct h1_body *body, enum h1_body_state state)
{
    body->state = state;
    return OK;
}

/* What may follow a size or an extension; whitespace may not, since not everyone skips it. */
static enum status end_part(struct h1_body *body, char c)
{
    if (c == ';')
        return to(body, H1_CHUNK_NAME_BEGIN);
    return c == '\r' ? to(body, H1_CHUNK_LF) : BAD_CHUNK;
}

static enum status step_size(struct h1_body *body, char c)
{
    int digit = slice_hex_digit(c);
    if (digit < 0) {
        body->line = 0; /* from here on it counts extensions */
        return body->state == H1_CHUNK_BEGIN ? BAD_CHUNK : end_part(body, c);
    }
    if (body->line > SIZE_DIGITS_MAX)
        return BAD_CHUNK;
    body->remaining = body->remaining << 4 | (unsigned)digit;
    return body->remaining > INT64_MAX ? BAD_CHUNK : to(body, H1_CHUNK_SIZE);
}

/* ";name", ";name=token", ";name="quoted string"", any number of times. Read strictly though it is
 * dropped: what a reader before us took for a part of an extension must be one. */
static enum status step_extension(struct h1_body *body, char c)
{
    bool is_token = scan_is(c, SCAN_TOKEN);
    if (body->line > body->limits->chunk_extension + 1) /* the CR comes on top */
        return BAD_CHUNK;
    switch (body->state) {
    case H1_CHUNK_NAME_BEGIN:
        return is_token ? to(body, H1_CHUNK_NAME) : BAD_CHUNK;
    case H1_CHUNK_NAME:
        if (c == '=')
            return to(body, H1_CHUNK_VALUE_BEGIN);
        return is_token ? OK : end_part(body, c);
    case H1_CHUNK_VALUE_BEGIN:
        if (c == '"')
            return to(body, H1_CHUNK_QUOTED);
        return is_token ? to(body, H1_CHUNK_VALUE) : BAD_CHUNK;
    case H1_CHUNK_VALUE:
        return is_token ? OK : end_part(body, c);
    case H1_CHUNK_QUOTED:
        if (c == '"')
            return to(body, H1_CHUNK_UNQUOTED);
        if (c == '\\')
            return to(body, H1_CHUNK_ESCAPED);
        return scan_is(c, SCAN_VALUE) ? OK : BAD_CHUNK;
    case H1_CHUNK_ESCAPED:
        return scan_is(c, SCAN_VALUE) ? to(body, H1_CHUNK_QUOTED) : BAD_CHUNK;
    default:
        return end_part(body, c);
    }
}

static enum status begin_data(struct h1_body *body)
{
    body->line = 0;
    return to(body, body->remaining ? H1_CHUNK_DATA : H1_BODY_TRAILERS);
}

enum status h1_chunk_step(struct h1_body *body, char c)
{
    body->line++;
    switch (body->state) {
    case H1_CHUNK_BEGIN:
    case H1_CHUNK_SIZE:
        return step_size(body, c);
    case H1_CHUNK_LF:
        return c == '\n' ? begin_data(body) : BAD_CHUNK;
    case H1_CHUNK_DATA_CR:
        return c == '\r' ? to(body, H1_CHUNK_DATA_LF) : BAD_CHUNK;
    case H1_CHUNK_DATA_LF:
        body->line = 0;
        return c == '\n' ? to(body, H1_CHUNK_BEGIN) : BAD_CHUNK;
    default:
        return step_extension(body, c);
    }
}

void h1_drop_forbidden_trailers(struct fields *trailers)
{
    static const enum field_id forbidden[] = {/* framing and this connection */
        FIELD_CONTENT_LENGTH, FIELD_TRANSFER_ENCODING, FIELD_CONNECTION, FIELD_KEEP_ALIVE,
        FIELD_PROXY_CONNECTION, FIELD_TE, FIELD_TRAILER, FIELD_UPGRADE,
        /* routing and who asks */
        FIELD_HOST, FIELD_FORWARDED, FIELD_VIA, FIELD_X_FORWARDED_FOR, FIELD_X_FORWARDED_HOST,
        FIELD_X_FORWARDED_PORT, FIELD_X_FORWARDED_PROTO, FIELD_X_REQUEST_ID, FIELD_ORIGIN,
        FIELD_REFERER, FIELD_TRACEPARENT, FIELD_TRACESTATE,
        /* trust */
        FIELD_AUTHORIZATION, FIELD_COOKIE, FIELD_SET_COOKIE, FIELD_PROXY_AUTHENTICATE,
        FIELD_PROXY_AUTHORIZATION, FIELD_WWW_AUTHENTICATE,
        /* what is asked for, and on which condition */
        FIELD_CACHE_CONTROL, FIELD_EXPECT, FIELD_MAX_FORWARDS, FIELD_PRAGMA, FIELD_RANGE,
        FIELD_IF_MATCH, FIELD_IF_MODIFIED_SINCE, FIELD_IF_NONE_MATCH, FIELD_IF_RANGE,
        FIELD_IF_UNMODIFIED_SINCE,
        /* what the answer is */
        FIELD_AGE, FIELD_DATE, FIELD_EXPIRES, FIELD_LOCATION, FIELD_RETRY_AFTER, FIELD_VARY,
        FIELD_CONTENT_ENCODING, FIELD_CONTENT_LANGUAGE, FIELD_CONTENT_LOCATION, FIELD_CONTENT_RANGE,
        FIELD_CONTENT_TYPE};
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        fields_remove_known(trailers, forbidden[i]);
}
