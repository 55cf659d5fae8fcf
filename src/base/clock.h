/* Time. Durations are int64_t nanoseconds; an instant is nanoseconds on the monotonic clock. A
 * deadline is an instant. Wall-clock time is only for people and for HTTP dates. */
#pragma once

#include <stdint.h>

#include "base/slice.h"

typedef int64_t instant;

#define NANOSECOND  ((int64_t)1)
#define MICROSECOND (1000 * NANOSECOND)
#define MILLISECOND (1000 * MICROSECOND)
#define SECOND      (1000 * MILLISECOND)
#define MINUTE      (60 * SECOND)
#define HOUR        (60 * MINUTE)
#define DAY         (24 * HOUR)

/* The deadline that never comes. */
#define NEVER INT64_MAX

/* Monotonic time now, from the kernel (about 25 ns). Inside a loop, loop_now() is cheaper. */
instant clock_now(void);

/* Nanoseconds since 1970-01-01 UTC. */
int64_t clock_wall(void);

/* `from` + `duration` without overflow; a `duration` of 0 or less means no limit: NEVER. */
instant clock_after(instant from, int64_t duration);

static inline instant clock_sooner(instant a, instant b)
{
    return a < b ? a : b;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" (IMF-fixdate, RFC 9110 §5.6.7): exactly 29 bytes, no NUL. */
#define HTTP_DATE_SIZE 29
void clock_http_date(int64_t seconds, char text[HTTP_DATE_SIZE]);

/* Reads the three date forms of RFC 9110 §5.6.7; false if it is none. Seconds since 1970. */
bool clock_parse_http_date(struct slice text, int64_t *ret_seconds);

/* "2026-11-20T12:00:00.000Z": exactly 24 bytes, no NUL. `wall` as clock_wall() gives it. */
#define ISO_TIME_SIZE 24
void clock_iso_time(int64_t wall, char text[ISO_TIME_SIZE]);
