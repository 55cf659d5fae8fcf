/* Response heads: the same verdict however the bytes are cut; what is accepted and written out
 * again reads the same. */
#include "http/h1_parse.h"

#include "base/must.h"
#include "http/heads.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = {.line = 400, .head = 1000, .fields = 20};

static void check_rewritten(struct arena *arena, struct head *head, enum http_method method)
{
    struct text text = text_growing(0);
    if (fields_strip_hop_by_hop(&head->response.fields))
        return;
    h1_write_response_head(&text, &head->response, HTTP_1_1, &head->framing);
    must(!text.failed);
    struct h1_limits wide = {.line = 8000, .head = 20000, .fields = 30};
    struct head again =
        head_read(arena, H1_RESPONSE_HEAD, method, &wide, text_slice(&text), SIZE_MAX);
    must(again.verdict == OK && again.size == text.size);
    must(
        again.framing.kind == head->framing.kind && again.response.status == head->response.status);
    must(again.framing.kind == H1_CHUNKED || again.framing.length == head->framing.length);
    text_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    if (size < 3)
        return 0;
    size_t step = 1 + data[0] % 64;
    enum http_method method = data[1] % METHOD_COUNT;
    struct slice bytes = slice_of((const char *)data + 2, size - 2);
    arena_init(&arena, 0, 0);
    struct head whole = head_read(&arena, H1_RESPONSE_HEAD, method, &limits, bytes, SIZE_MAX);
    struct head cut = head_read(&arena, H1_RESPONSE_HEAD, method, &limits, bytes, step);
    must(heads_same(&whole, &cut));
    if (whole.verdict == OK)
        check_rewritten(&arena, &whole, method);
    arena_release(&arena);
    return 0;
}
