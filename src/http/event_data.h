/* What the events of a stream carry (server-sent events, HTML §9.2.6): the values of its `data`
 * lines, as they pass, in memory of fixed size.
 *
 * The lines of one event are joined by line feeds; its other fields are left out. Nothing is held
 * back: a value comes in as many pieces as it was fed in. */
#pragma once

#include "base/slice.h"

struct event_data {
    void (*piece)(void *argument, struct slice bytes); /* of an event's data, at least one byte */
    void (*end)(void *argument);                       /* of an event that had a data line */
    void *argument;
    enum event_data_state {
        EVENT_DATA_NAME,  /* of a field, or the line's beginning */
        EVENT_DATA_BLANK, /* behind its colon one may stand */
        EVENT_DATA_VALUE,
        EVENT_DATA_OTHER /* up to the line's end */
    } state;
    unsigned matched; /* of "data" */
    unsigned begun;   /* of a byte order mark, which only the stream's beginning has */
    bool has_data;    /* the event has had a line of it */
    bool is_return;   /* the last byte was one: a line feed belongs to it */
};

void event_data_init(struct event_data *events, void (*piece)(void *argument, struct slice bytes),
    void (*end)(void *argument), void *argument);

void event_data_feed(struct event_data *events, struct slice bytes);
