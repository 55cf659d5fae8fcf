/* Reads any bytes as each shape of structured field. What is accepted is written, read again and
 * written again, to the same text; the first byte chooses the shape. */
#include "base/must.h"
#include "base/structured_field.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct field {
    char shape;
    struct structured_member *first, item;
};

static enum status parse(struct arena *arena, struct slice text, struct field *field)
{
    switch (field->shape) {
    case 'l':
        return structured_parse_list(arena, text, &field->first);
    case 'd':
        return structured_parse_dictionary(arena, text, &field->first);
    default:
        return structured_parse_item(arena, text, &field->item);
    }
}

static void write(struct text *text, const struct field *field)
{
    enum status e;
    switch (field->shape) {
    case 'l':
        e = structured_write_list(text, field->first);
        break;
    case 'd':
        e = structured_write_dictionary(text, field->first);
        break;
    default:
        e = structured_write_item(text, &field->item);
    }
    must(!e && !text->failed);
}

static void check(struct arena *arena, struct slice text, char shape)
{
    struct field field = {.shape = shape}, again = {.shape = shape};
    if (parse(arena, text, &field))
        return;
    struct text first = text_growing(0), second = text_growing(0);
    write(&first, &field);
    must(utf8_is_valid(text_slice(&first)));
    must(!parse(arena, text_slice(&first), &again));
    write(&second, &again);
    must(slice_equal(text_slice(&first), text_slice(&second)));
    text_release(&first);
    text_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    if (!size)
        return 0;
    arena_init(&arena, 0, (size_t)64 << 20);
    check(&arena, slice_of((const char *)data + 1, size - 1), (char)data[0]);
    arena_release(&arena);
    return 0;
}
