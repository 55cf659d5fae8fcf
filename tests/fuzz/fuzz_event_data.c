/* Reads any bytes as a stream of events, whole and cut in two: both say the same, and never more
 * than was fed. */
#include "base/must.h"
#include "http/event_data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct digest {
    uint64_t sum;
    size_t size, events;
};

static void add_piece(void *argument, struct slice bytes)
{
    struct digest *digest = argument;
    must(bytes.size > 0);
    for (size_t i = 0; i < bytes.size; i++)
        digest->sum = digest->sum * 31 + (unsigned char)bytes.data[i];
    digest->size += bytes.size;
}

static void add_end(void *argument)
{
    struct digest *digest = argument;
    digest->sum = digest->sum * 31 + 1000;
    digest->events++;
}

static struct digest read_cut(struct slice text, size_t cut)
{
    struct digest digest = {.sum = 0};
    struct event_data events;
    event_data_init(&events, add_piece, add_end, &digest);
    event_data_feed(&events, slice_head(text, cut));
    event_data_feed(&events, slice_from(text, cut));
    return digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct slice text = slice_of((const char *)data + 1, size - 1);
    struct digest whole = read_cut(text, text.size);
    struct digest cut = read_cut(text, data[0] % (text.size + 1));
    must(whole.sum == cut.sum && whole.size == cut.size && whole.events == cut.events);
    must(whole.size + whole.events <= text.size);
    return 0;
}
