/* Records of the store: what is read can be walked, and gives the same bytes when it is written. */
#include "base/must.h"
#include "policy/idempotency_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_fields(struct arena *arena, struct slice rest, struct text *text)
{
    struct fields fields;
    fields_init(&fields, arena);
    must(!idempotency_record_read_fields(rest, &fields));
    bool has_length = fields_has(&fields, FIELD_CONTENT_LENGTH);
    size_t before = text->size;
    idempotency_record_write_fields(&fields, NULL, text);
    must(has_length || slice_equal(slice_from(text_slice(text), before + 4), rest));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of((const char *)data, size);
    struct idempotency_record record;
    struct arena arena;
    if (idempotency_record_parse(bytes, &record))
        return 0;
    arena_init(&arena, 0, 0);
    struct text text = text_growing(0);
    idempotency_record_write(&record, &text);
    must(slice_has_prefix(bytes, text_slice(&text)));
    if (record.kind != IDEMPOTENCY_RUNNING) {
        add_fields(&arena, record.fields, &text);
        add_fields(&arena, record.trailers, &text);
    }
    text_add(&text, record.body);
    must(text.size <= size);
    text_release(&text);
    arena_release(&arena);
    return 0;
}
