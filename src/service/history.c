#include "service/history.h"

#include "base/clock.h"
#include "base/json_writer.h"

#include <stdio.h>
#include <stdlib.h>

enum status history_init(struct history *history)
{
    history->newest = NULL;
    return pthread_mutex_init(&history->mutex, NULL) ? NO_MEMORY : OK;
}

void history_release(struct history *history)
{
    while (history->newest) {
        struct history_event *event = history->newest;
        history->newest = event->older;
        free(event);
    }
    pthread_mutex_destroy(&history->mutex);
}

/* Memory for one more: new, or, when there are enough, that of the oldest. */
static struct history_event *take_event(struct history *history)
{
    struct history_event **last = &history->newest;
    unsigned count = 0;
    for (; *last && ++count < HISTORY_EVENTS; last = &(*last)->older)
        ;
    struct history_event *oldest = *last;
    *last = NULL;
    return oldest ? oldest : malloc(sizeof *oldest);
}

void history_note(struct history *history, const char *format, va_list arguments)
{
    pthread_mutex_lock(&history->mutex);
    struct history_event *event = take_event(history);
    if (event) {
        event->wall = clock_wall();
        vsnprintf(event->text, sizeof event->text, format, arguments);
        event->older = history->newest;
        history->newest = event;
    }
    pthread_mutex_unlock(&history->mutex);
}

bool history_is_newest(struct history *history, const char *text)
{
    pthread_mutex_lock(&history->mutex);
    bool is_newest = history->newest && strcmp(history->newest->text, text) == 0;
    pthread_mutex_unlock(&history->mutex);
    return is_newest;
}

bool history_find(struct history *history, struct slice prefix, struct history_event *ret_event)
{
    pthread_mutex_lock(&history->mutex);
    const struct history_event *event = history->newest;
    while (event && !slice_has_prefix(slice_of_text(event->text), prefix))
        event = event->older;
    if (event)
        *ret_event = *event;
    pthread_mutex_unlock(&history->mutex);
    return event != NULL;
}

void history_write(struct history *history, struct json_writer *w)
{
    json_write_array(w);
    pthread_mutex_lock(&history->mutex);
    for (const struct history_event *event = history->newest; event; event = event->older) {
        json_write_object(w);
        json_put_time(w, "time", event->wall);
        json_put_text(w, "what", slice_of_text(event->text));
        json_write_object_end(w);
    }
    pthread_mutex_unlock(&history->mutex);
    json_write_array_end(w);
}
