/* "METHOD target", fields as "Name: value" lines, a blank line, a body: whatever they say of
 * signatures, a base is one line for each component, and no digest of another body holds. */
#include "base/must.h"
#include "policy/content_digest.h"
#include "policy/signature_base.h"
#include "policy/signature_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_head(struct slice head, struct http_request *request)
{
    struct slice line;
    while (slice_split(&head, '\n', &line)) {
        size_t colon = slice_find(line, ':');
        struct slice name = slice_head(line, colon);
        (void)fields_add(
            &request->fields, field_id_of(name), name, slice_trim(slice_from(line, colon + 1)));
    }
}

static void check_base(
    struct arena *arena, const struct http_request *request, const struct structured_member *input)
{
    struct text text = text_growing(0);
    size_t components = 0, lines = 0;
    enum status e = signature_base_write(arena, request, input, &text);
    must(e == OK || e == INVALID);
    for (const struct structured_member *item = input->items; item; item = item->next)
        components++;
    struct slice rest = text_slice(&text), line;
    while (!e && slice_split(&rest, '\n', &line)) {
        must(line.size > 4 && line.data[0] == '"');
        lines++;
    }
    must(e || lines == components + 1);
    (void)signature_covers(input, SLICE("@target-uri"));
    (void)signature_find_component(input, SLICE("content-digest"));
    text_release(&text);
}

static void check_keys(struct arena *arena, struct slice text)
{
    struct signature_keys keys;
    const char *why = NULL;
    if (signature_keys_read(arena, text, &keys, &why))
        return;
    for (size_t i = 0; i < keys.count; i++) {
        must(keys.items[i].id.size && json_get(keys.items[i].claims, SLICE("sub")));
        must(signature_algorithm_name(keys.items[i].algorithm).size);
    }
    signature_keys_release(&keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of((const char *)data, size);
    size_t cut = slice_find_slice(input, SLICE("\n\n"));
    struct slice head = slice_head(input, cut), body = slice_from(input, cut + 2);
    struct slice first = slice_head(head, slice_find(head, '\n'));
    size_t blank = slice_find(first, ' ');
    struct structured_member *inputs;
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct http_request request = {.method_text = slice_head(first, blank),
        .target = slice_from(first, blank + 1),
        .scheme = SLICE("https"),
        .authority = SLICE("Example.com:443")};
    if (slice_find(request.target, '\r') < request.target.size)
        request.target = SLICE("/");
    fields_init(&request.fields, &arena);
    read_head(slice_from(head, first.size + 1), &request);
    struct slice said = fields_combined(&request.fields, SLICE("signature-input"));
    if (!structured_parse_dictionary(&arena, said, &inputs))
        for (const struct structured_member *m = inputs; m; m = m->next)
            check_base(&arena, &request, m);
    struct slice digest = fields_combined(&request.fields, SLICE("content-digest"));
    enum status e = content_digest_check(&arena, digest, SLICE_NONE, body);
    must(e == OK || e == DIGEST_WRONG);
    check_keys(&arena, body);
    arena_release(&arena);
    return 0;
}
