/* What has happened to an endpoint or a service lately, for people. Whoever notices writes, on any
 * thread; whoever describes reads. A mutex guards it, which what is rare can afford. */
#pragma once

#include <pthread.h>
#include <stdarg.h>

#include "base/slice.h"
#include "base/status.h"

#define HISTORY_EVENTS 8

struct json_writer;

struct history_event {
    struct history_event *older;
    int64_t wall; /* nanoseconds since 1970 */
    char text[104];
};

/* Most endpoints never have an event, and there may be very many of them: so each takes memory when
 * it comes. */
struct history {
    pthread_mutex_t mutex;
    struct history_event *newest; /* owned, guarded: a list, the newest first */
};

/* NO_MEMORY. */
enum status history_init(struct history *history);
void history_release(struct history *history);

/* Without memory it is not noted. */
void history_note(struct history *history, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/* True when that was the newest event. */
bool history_is_newest(struct history *history, const char *text);

/* The newest event that begins with `prefix`; false: there is none. */
bool history_find(struct history *history, struct slice prefix, struct history_event *ret_event);

/* Writes an array, the newest first. */
void history_write(struct history *history, struct json_writer *writer);
