#include "service/history.h"

#include "base/clock.h"
#include "base/json_writer.h"

#include <stdio.h>

enum status history_init(struct history *history)
{
    history->count = 0;
    return pthread_mutex_init(&history->mutex, NULL) ? NO_MEMORY : OK;
}

void history_release(struct history *history)
{
    pthread_mutex_destroy(&history->mutex);
}

/* The i-th newest, from 1. */
static struct history_event *event_at(struct history *history, unsigned i)
{
    return &history->events[(history->count - i) % HISTORY_EVENTS];
}

static unsigned kept(const struct history *history)
{
    return history->count < HISTORY_EVENTS ? history->count : HISTORY_EVENTS;
}

void history_note(struct history *history, const char *format, va_list arguments)
{
    pthread_mutex_lock(&history->mutex);
    history->count++;
    struct history_event *event = event_at(history, 1);
    event->wall = clock_wall();
    vsnprintf(event->text, sizeof event->text, format, arguments);
    pthread_mutex_unlock(&history->mutex);
}

bool history_is_newest(struct history *history, const char *text)
{
    pthread_mutex_lock(&history->mutex);
    bool is_newest = history->count && strcmp(event_at(history, 1)->text, text) == 0;
    pthread_mutex_unlock(&history->mutex);
    return is_newest;
}

bool history_find(struct history *history, struct slice prefix, struct history_event *ret_event)
{
    bool is_found = false;
    pthread_mutex_lock(&history->mutex);
    for (unsigned i = 1; !is_found && i <= kept(history); i++) {
        const struct history_event *event = event_at(history, i);
        is_found = slice_has_prefix(slice_of_text(event->text), prefix);
        if (is_found)
            *ret_event = *event;
    }
    pthread_mutex_unlock(&history->mutex);
    return is_found;
}

void history_write(struct history *history, struct json_writer *w)
{
    json_write_array(w);
    pthread_mutex_lock(&history->mutex);
    for (unsigned i = 1; i <= kept(history); i++) {
        const struct history_event *event = event_at(history, i);
        char time[ISO_TIME_SIZE];
        clock_iso_time(event->wall, time);
        json_write_object(w);
        json_write_key(w, SLICE("time"));
        json_write_string(w, slice_of(time, sizeof time));
        json_write_key(w, SLICE("what"));
        json_write_string(w, slice_of_text(event->text));
        json_write_object_end(w);
    }
    pthread_mutex_unlock(&history->mutex);
    json_write_array_end(w);
}
