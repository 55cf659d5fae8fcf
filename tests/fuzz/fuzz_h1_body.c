/* Chunked bodies off a stream: the same bytes, trailers and verdict however the input is cut, and
 * whether or not one peeks. */
#include "http/h1.h"

#include "base/must.h"
#include "http/heads.h"
#include "http/script.h"
#include "run/loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = {.trailers = 300, .fields = 10, .chunk_extension = 40};

struct outcome {
    enum status verdict;
    struct text bytes; /* owned */
    struct fields trailers;
    size_t rest; /* bytes behind the body */
};

static struct outcome read_body(
    struct arena *arena, struct slice input, size_t piece, bool peeks, enum h1_body_kind kind)
{
    struct outcome outcome = {.bytes = text_growing(0)};
    struct h1_framing framing = {.kind = kind, .length = kind == H1_LENGTH ? 20 : 0};
    struct wire connection;
    struct h1_body body;
    struct script script;
    struct slice part;
    script_init(&script, input, piece);
    wire_init(&connection, &script.stream);
    h1_body_init(&body, &connection, &limits, &framing, arena, 0);
    for (;;) {
        bool last = false;
        struct slice peeked = peeks ? body_peek(&body.body, &last) : SLICE_NONE;
        outcome.verdict = body_read(&body.body, NEVER, &part);
        if (outcome.verdict)
            break;
        must(part.size && (!peeked.size || slice_equal(part, peeked)));
        text_add(&outcome.bytes, part);
    }
    must(h1_body_is_complete(&body) == (outcome.verdict == END));
    must(body.received == outcome.bytes.size);
    if (body.body.trailers)
        outcome.trailers = *body.body.trailers;
    body_drop(&body.body);
    outcome.rest = connection.end - connection.begin + script.input.size;
    wire_release(&connection);
    script_release(&script);
    return outcome;
}

static void check_same(const struct outcome *a, const struct outcome *b)
{
    must(a->verdict == b->verdict);
    must(slice_equal(text_slice(&a->bytes), text_slice(&b->bytes)));
    must(a->verdict != END || a->rest == b->rest);
    must(a->verdict != END || heads_same_fields(&a->trailers, &b->trailers));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    if (size < 2)
        return 0;
    if (!loop_current()) {
        struct loop *loop; /* lives as long as the process */
        must(loop_new(NULL, &loop) == OK);
    }
    size_t piece = 1 + data[0] % 32;
    enum h1_body_kind kind = data[0] / 32 == 7 ? H1_LENGTH : H1_CHUNKED;
    struct slice input = slice_of((const char *)data + 1, size - 1);
    arena_init(&arena, 0, 0);
    struct outcome whole = read_body(&arena, input, 0, false, kind);
    struct outcome peeked = read_body(&arena, input, 0, true, kind);
    struct outcome cut = read_body(&arena, input, piece, true, kind);
    check_same(&whole, &peeked);
    check_same(&whole, &cut);
    text_release(&whole.bytes);
    text_release(&peeked.bytes);
    text_release(&cut.bytes);
    arena_release(&arena);
    return 0;
}
