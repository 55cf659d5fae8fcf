#include "policy/idempotency_parts.h"

#include "base/text.h"

#define LENGTH_MAX ((size_t)21) /* decimal digits of a size, and a colon */

struct slice idempotency_join(struct arena *arena, const struct slice *parts, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += parts[i].size + LENGTH_MAX;
    char *room = arena_bytes(arena, size);
    if (!room)
        return SLICE_NONE;
    struct text text = text_fixed(room, size);
    for (size_t i = 0; i < count; i++) {
        text_add_u64(&text, parts[i].size);
        text_add_char(&text, ':');
        text_add(&text, parts[i]);
    }
    return text.failed ? SLICE_NONE : text_slice(&text);
}
