/* Idempotency-Key: a key is short and visible, and means the same in quotes as without. */
#include "base/must.h"
#include "policy/idempotency_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice value = slice_of((const char *)data, size), key, again;
    struct arena arena;
    arena_init(&arena, 0, 0);
    if (!idempotency_key_parse(&arena, value, &key)) {
        must(key.size > 0 && key.size <= IDEMPOTENCY_KEY_MAX);
        for (size_t i = 0; i < key.size; i++)
            must(key.data[i] >= ' ' && key.data[i] <= '~');
        if (slice_trim(value).data[0] != '"') {
            struct slice quoted = arena_format(&arena, "\"%.*s\"", SLICE_ARG(key));
            must(!idempotency_key_parse(&arena, quoted, &again) && slice_equal(key, again));
        }
    }
    arena_release(&arena);
    return 0;
}
