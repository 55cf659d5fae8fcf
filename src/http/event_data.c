#include "http/event_data.h"

static const struct slice field = SLICE_INIT("data");
static const struct slice mark = SLICE_INIT("\xEF\xBB\xBF");

void event_data_init(struct event_data *events, void (*piece)(void *argument, struct slice bytes),
    void (*end)(void *argument), void *argument)
{
    *events = (struct event_data){.piece = piece, .end = end, .argument = argument};
}

static void begin_value(struct event_data *events)
{
    if (events->has_data)
        events->piece(events->argument, SLICE("\n"));
    events->has_data = true;
}

static void end_line(struct event_data *events)
{
    bool is_empty = events->state == EVENT_DATA_NAME && events->matched == 0;
    if (events->state == EVENT_DATA_NAME && events->matched == field.size)
        begin_value(events); /* the name alone: an empty value */
    if (is_empty && events->has_data) {
        events->end(events->argument);
        events->has_data = false;
    }
    events->state = EVENT_DATA_NAME;
    events->matched = 0;
}

static void read_name(struct event_data *events, char c)
{
    if (events->matched == field.size && c == ':') {
        events->state = EVENT_DATA_BLANK;
        begin_value(events);
    } else if (events->matched < field.size && c == field.data[events->matched]) {
        events->matched++;
    } else {
        events->state = EVENT_DATA_OTHER;
    }
}

static struct slice line_of(struct slice bytes)
{
    size_t size = 0;
    while (size < bytes.size && bytes.data[size] != '\n' && bytes.data[size] != '\r')
        size++;
    return slice_head(bytes, size);
}

/* Bytes without a line's end. */
static void read_part(struct event_data *events, struct slice part)
{
    while (part.size && events->state == EVENT_DATA_NAME) {
        read_name(events, part.data[0]);
        part = slice_from(part, 1);
    }
    if (part.size && events->state == EVENT_DATA_BLANK) {
        events->state = EVENT_DATA_VALUE;
        if (part.data[0] == ' ')
            part = slice_from(part, 1);
    }
    if (part.size && events->state == EVENT_DATA_VALUE)
        events->piece(events->argument, part);
}

static struct slice without_mark(struct event_data *events, struct slice bytes)
{
    while (events->begun < mark.size && bytes.size) {
        if (bytes.data[0] != mark.data[events->begun]) {
            events->begun = (unsigned)mark.size;
            break;
        }
        events->begun++;
        bytes = slice_from(bytes, 1);
    }
    return bytes;
}

void event_data_feed(struct event_data *events, struct slice bytes)
{
    bytes = without_mark(events, bytes);
    for (size_t i = 0; i < bytes.size; i++) {
        char c = bytes.data[i];
        bool is_second = c == '\n' && events->is_return;
        events->is_return = c == '\r';
        if (is_second)
            continue;
        if (c == '\r' || c == '\n') {
            end_line(events);
            continue;
        }
        struct slice part = line_of(slice_from(bytes, i));
        read_part(events, part);
        i += part.size - 1;
    }
}
