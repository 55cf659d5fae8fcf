#include "http/h1.h"

#include "base/bytes.h"

#define LINE_ROOM \
    200 /* start line without target and phrase, and the fields that the writer adds itself */

/* --- putting bytes where there is room for them */

#define PUT(out, literal) \
    (memcpy((out), "" literal, sizeof literal - 1), (out) + sizeof literal - 1)

static char *put_number(char *out, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    return bytes_put(out, slice_of(digits + at, sizeof digits - at));
}

static inline char *put_field(char *out, struct slice name, struct slice value)
{
    out = PUT(bytes_put(out, name), ": ");
    return PUT(bytes_put(out, value), "\r\n");
}

static size_t size_of_fields(const struct fields *fields)
{
    size_t size = 0;
    for (uint32_t i = 0; i < fields->count; i++)
        size += fields->items[i].name.size + fields->items[i].value.size + 4;
    return size;
}

/* --- fields */

/* These the writer alone decides about; `host` too in requests. */
static bool is_written_apart(enum field_id id, enum field_id host)
{
    return id == FIELD_CONTENT_LENGTH || id == FIELD_TRANSFER_ENCODING || id == FIELD_CONNECTION ||
           (id == host && id != FIELD_OTHER);
}

static char *put_fields(char *out, const struct fields *fields, enum field_id host)
{
    for (uint32_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (field->name.size && !is_written_apart(field->id, host))
            out = put_field(out, field->name, field->value);
    }
    return out;
}

static char *put_length(char *out, uint64_t length)
{
    out = put_number(PUT(out, "Content-Length: "), length);
    return PUT(out, "\r\n");
}

static char *put_framing(char *out, const struct h1_framing *framing)
{
    if (framing->kind == H1_LENGTH)
        return put_length(out, framing->length);
    if (framing->kind == H1_CHUNKED)
        return PUT(out, "Transfer-Encoding: chunked\r\n");
    return out;
}

/* Room for `size` bytes and what the writer adds; NULL when there is none. */
static char *room_for(struct text *text, size_t size)
{
    size += LINE_ROOM;
    if (text->failed || (size > text->capacity - text->size && !text_reserve(text, size)))
        return NULL;
    return text->data + text->size;
}

static void end_head(struct text *text, char *out)
{
    out = PUT(out, "\r\n");
    text->size = (size_t)(out - text->data);
}

/* --- requests */

static char *put_target(char *out, const struct http_request *request)
{
    if (request->method == METHOD_CONNECT)
        return bytes_put(out, request->authority);
    out = bytes_put(out, request->path);
    if (request->query.data)
        out = bytes_put(PUT(out, "?"), request->query);
    return out;
}

static char *put_upgrade(char *out, bool has_te)
{
    out = has_te ? PUT(out, "Connection: Upgrade, TE\r\n") : PUT(out, "Connection: Upgrade\r\n");
    return PUT(out, "Upgrade: websocket\r\n");
}

static char *put_request_connection(
    char *out, const struct http_request *request, const struct h1_framing *framing)
{
    bool has_te = fields_has(&request->fields, FIELD_TE), keep_alive = framing->keep_alive;
    if (framing->is_upgrade)
        return put_upgrade(out, has_te);
    if (has_te)
        return keep_alive ? PUT(out, "Connection: TE\r\n") : PUT(out, "Connection: close, TE\r\n");
    return keep_alive ? out : PUT(out, "Connection: close\r\n");
}

void h1_write_request_head(
    struct text *text, const struct http_request *request, const struct h1_framing *framing)
{
    char *out =
        room_for(text, request->method_text.size + request->path.size + request->query.size +
                           2 * request->authority.size + size_of_fields(&request->fields));
    if (!out)
        return;
    out = PUT(bytes_put(out, request->method_text), " ");
    out = PUT(put_target(out, request), " HTTP/1.1\r\n");
    out = put_field(out, SLICE("Host"), request->authority);
    out = put_fields(out, &request->fields, FIELD_HOST);
    out = put_framing(out, framing);
    end_head(text, put_request_connection(out, request, framing));
}

/* --- responses */

static char *put_status_line(char *out, int status)
{
    out = PUT(out, "HTTP/1.1 ");
    out[0] = (char)('0' + status / 100 % 10);
    out[1] = (char)('0' + status / 10 % 10);
    out[2] = (char)('0' + status % 10);
    out[3] = ' ';
    out = bytes_put(out + 4, http_reason_phrase(status));
    return PUT(out, "\r\n");
}

/* The length that a body would have had. */
static char *put_length_of_absent(
    char *out, const struct http_response *response, const struct h1_framing *framing)
{
    if (response->status < 200 || response->status == 204)
        return out;
    uint64_t length;
    if (slice_to_u64(fields_value(&response->fields, FIELD_CONTENT_LENGTH), &length))
        return put_length(out, length);
    return framing->length ? put_length(out, framing->length) : out;
}

static char *put_response_connection(char *out, enum http_version client, bool keep_alive)
{
    if (!keep_alive)
        return PUT(out, "Connection: close\r\n");
    return client == HTTP_1_0 ? PUT(out, "Connection: keep-alive\r\n") : out;
}

void h1_write_response_head(struct text *text, const struct http_response *response,
    enum http_version client, const struct h1_framing *framing)
{
    struct slice phrase = http_reason_phrase(response->status);
    char *out = room_for(text, phrase.size + size_of_fields(&response->fields));
    if (!out)
        return;
    out = put_status_line(out, response->status);
    out = put_fields(out, &response->fields, FIELD_OTHER);
    if (framing->kind == H1_NO_BODY)
        out = put_length_of_absent(out, response, framing);
    else
        out = put_framing(out, framing);
    if (framing->is_upgrade)
        out = put_upgrade(out, false);
    else if (response->status >= 200)
        out = put_response_connection(
            out, client, framing->keep_alive && framing->kind != H1_UNTIL_CLOSE);
    end_head(text, out);
}
