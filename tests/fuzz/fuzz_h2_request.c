/* Requests of HTTP/2: what is accepted must mean the same when it is written as HTTP/1.1 and read
 * again, with nothing left that could be read in two ways.
 *
 * The input is a list of fields: a byte with the name's size, one with the value's, then both. The
 * very first byte's lowest bit says whether the message ends with its head. */
#include "http/h2_request.h"

#include <stdlib.h>

#include "base/must.h"
#include "http/heads.h"
#include "http/websocket_handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = {.line = 400, .head = 1000, .fields = 20};

static struct slice take(struct slice *rest, size_t size)
{
    struct slice part = slice_head(*rest, size);
    *rest = slice_from(*rest, part.size);
    return part;
}

static void check_rewritten(
    struct arena *arena, struct http_request *request, const struct h2_request_framing *body)
{
    struct h1_framing framing = {.kind = H1_CHUNKED, .keep_alive = true};
    if (body->length >= 0)
        framing = (struct h1_framing){
            .kind = H1_LENGTH, .length = (uint64_t)body->length, .keep_alive = true};
    struct text text = text_growing(0);
    struct slice host = request->host;
    if (fields_strip_hop_by_hop(&request->fields))
        return;
    h1_write_request_head(&text, request, &framing);
    must(!text.failed);
    struct h1_limits wide = {.line = 8000, .head = 20000, .fields = 30};
    struct head again =
        head_read(arena, H1_REQUEST_HEAD, METHOD_OTHER, &wide, text_slice(&text), SIZE_MAX);
    must(again.verdict == OK && again.size == text.size);
    must(again.framing.kind == framing.kind && again.framing.length == framing.length);
    must(slice_equal(again.request.method_text, request->method_text));
    must(slice_equal(again.request.path, request->path));
    must(slice_equal(again.request.query, request->query));
    must(slice_equal(again.request.host, host));
    text_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct http_request request = {0};
    struct h2_request_head head;
    struct h2_request_framing framing;
    struct slice rest = slice_of((const char *)data, size);
    if (size == 0)
        return 0;
    bool is_end = data[0] & 1;
    rest = slice_from(rest, 1);
    arena_init(&arena, 0, (size_t)1 << 20);
    fields_init(&request.fields, &arena);
    h2_request_begin(&head, &request, &limits);
    while (rest.size >= 2) {
        size_t name_size = (unsigned char)rest.data[0], value_size = (unsigned char)rest.data[1];
        rest = slice_from(rest, 2);
        struct slice name = take(&rest, name_size);
        h2_request_field(&head, name, take(&rest, value_size));
    }
    enum status e = h2_request_finish(&head, is_end, &framing);
    if (e == OK && framing.is_websocket) {
        static const uint64_t random[2] = {1, 2};
        must(!websocket_from_connect(&request, random) && websocket_is_asked_for(&request));
    }
    if (e == OK && request.method != METHOD_CONNECT)
        check_rewritten(&arena, &request, &framing);
    arena_release(&arena);
    return 0;
}
