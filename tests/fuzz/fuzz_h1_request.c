/* Request heads: the verdict must not depend on how the bytes are cut, and an accepted request
 * written out again and read back must say the same, with nothing left that could be read in two
 * ways. */
#include "http/h1_parse.h"

#include <stdlib.h>

#include "base/must.h"
#include "http/heads.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = {.line = 400, .head = 1000, .fields = 20};

static struct head read_head(struct arena *arena, struct slice bytes, size_t step)
{
    return head_read(arena, H1_REQUEST_HEAD, METHOD_OTHER, &limits, bytes, step);
}

static void check_forms(const struct http_request *request)
{
    for (uint32_t i = 0; i < request->fields.count; i++) {
        const struct field *field = &request->fields.items[i];
        if (field->name.size == 0)
            continue; /* was removed */
        must(field_name_is_valid(field->name) && field_value_is_valid(field->value));
        must(field->id == field_id_of(field->name));
    }
    must(request->path.size == 0 || request->path.data[0] == '/' ||
         slice_equal(request->path, SLICE("*")));
}

/* As a gateway would pass it on. */
static void check_rewritten(struct arena *arena, struct head *head)
{
    struct text text = text_growing(0);
    struct slice host = head->request.host;
    if (fields_strip_hop_by_hop(&head->request.fields))
        return;
    h1_write_request_head(&text, &head->request, &head->framing);
    must(!text.failed);
    struct h1_limits wide = {.line = 8000, .head = 20000, .fields = 30};
    struct head again =
        head_read(arena, H1_REQUEST_HEAD, METHOD_OTHER, &wide, text_slice(&text), SIZE_MAX);
    if (host.size == 0)
        must(again.verdict == BAD_HOST); /* HTTP/1.0 without Host */
    else
        must(again.verdict == OK && again.size == text.size);
    if (again.verdict == OK) {
        must(again.framing.kind == head->framing.kind);
        must(again.framing.length == head->framing.length);
        must(again.framing.keep_alive == head->framing.keep_alive);
        must(slice_equal(again.request.method_text, head->request.method_text));
        must(slice_equal(again.request.path, head->request.path));
        must(slice_equal(again.request.query, head->request.query));
        must(slice_equal(again.request.host, host));
    }
    text_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    if (size < 2)
        return 0;
    size_t step = 1 + data[0] % 64;
    struct slice bytes = slice_of((const char *)data + 1, size - 1);
    arena_init(&arena, 0, 0);
    struct head whole = read_head(&arena, bytes, SIZE_MAX);
    struct head cut = read_head(&arena, bytes, step);
    must(heads_same(&whole, &cut));
    if (whole.verdict == OK) {
        check_forms(&whole.request);
        check_rewritten(&arena, &whole);
    }
    arena_release(&arena);
    return 0;
}
