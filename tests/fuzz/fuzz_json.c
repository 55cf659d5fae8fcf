/* Reads any bytes as JSON: whole, in two pieces, and as a tree; all must agree. What is accepted is
 * written, read again and written again, to the same text. */
#include <stdlib.h>

#include "base/json.h"
#include "base/must.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All events, as a sum that differs when they do. */
struct digest {
    enum status e;
    size_t offset;
    uint64_t sum;
};

static struct digest read_pieces(struct slice text, size_t cut)
{
    struct json_reader reader;
    struct json_token token;
    struct digest digest = {.sum = 0};
    json_reader_init_pieces(&reader, NULL);
    json_reader_feed(&reader, slice_head(text, cut), cut == text.size);
    for (;;) {
        digest.e = json_next(&reader, &token);
        if (digest.e == INCOMPLETE) {
            must(!reader.is_last);
            json_reader_feed(&reader, slice_from(text, reader.before.offset + reader.at), true);
            continue;
        }
        if (digest.e)
            break;
        must(token.raw.size <= text.size && token.offset < text.size);
        digest.sum = digest.sum * 31 + token.event + 10 * token.offset + 1000 * token.raw.size;
    }
    digest.offset = json_reader_position(&reader).offset;
    return digest;
}

static void check_strings(struct arena *arena, const struct json_value *value)
{
    must(utf8_is_valid(value->key) && utf8_is_valid(value->text));
    double decimal;
    int64_t integer;
    if (value->type == JSON_NUMBER) {
        must(json_to_double(value->text, &decimal) != INVALID);
        (void)json_to_i64(value->text, &integer);
    }
    json_each (child, value) {
        check_strings(arena, child);
        if (value->type == JSON_OBJECT)
            must(json_get(value, child->key));
    }
}

static struct text written(const struct json_value *root, unsigned indent)
{
    struct text text = text_growing(0);
    struct json_writer writer;
    json_writer_init(&writer, &text, indent);
    json_write_value(&writer, root);
    must(json_writer_is_done(&writer));
    return text;
}

static void check_tree(struct arena *arena, struct slice text, enum status expected)
{
    struct json_limits limits = {.allow_duplicate_keys = text.size % 2};
    struct json_value *root, *again;
    struct json_error error = {.message = NULL};
    enum status e = json_parse(arena, text, &limits, &root, &error);
    if (e) {
        must(error.message && error.position.offset <= text.size);
        must(expected != END || !limits.allow_duplicate_keys);
        return;
    }
    must(expected == END);
    check_strings(arena, root);
    struct text pretty = written(root, 2);
    must(!json_parse(arena, text_slice(&pretty), &limits, &again, NULL));
    struct text first = written(root, 0), second = written(again, 0);
    must(slice_equal(text_slice(&first), text_slice(&second)));
    text_release(&pretty);
    text_release(&first);
    text_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    struct digest whole = read_pieces(text, size);
    struct digest pieces = read_pieces(text, size ? data[size - 1] % size : 0);
    must(whole.e == pieces.e && whole.sum == pieces.sum);
    struct arena arena;
    arena_init(&arena, 0, (size_t)64 << 20);
    check_tree(&arena, text, whole.e);
    arena_release(&arena);
    return 0;
}
