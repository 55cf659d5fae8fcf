#include "gateway/access_text.h"

#include <time.h>

#define MILLISECONDS_AT 20 /* in "2026-11-20T12:00:00.000Z" */

void access_add_seconds(struct text *text, int64_t nanoseconds)
{
    uint64_t microseconds = nanoseconds > 0 ? (uint64_t)(nanoseconds / MICROSECOND) : 0;
    uint32_t rest = (uint32_t)(microseconds % 1000000), high = rest / 1000, low = rest % 1000;
    char digits[7] = {'.', (char)('0' + high / 100), (char)('0' + high / 10 % 10),
        (char)('0' + high % 10), (char)('0' + low / 100), (char)('0' + low / 10 % 10),
        (char)('0' + low % 10)};
    text_add_u64(text, microseconds / 1000000);
    text_add(text, slice_of(digits, sizeof digits));
}

void access_add_time(struct text *text, struct log_time *time)
{
    int64_t second = time->wall / SECOND;
    uint32_t rest = (uint32_t)(time->wall % SECOND / MILLISECOND);
    if (second != time->second)
        clock_iso_time(time->wall, time->text);
    time->second = second;
    char *p = time->text + MILLISECONDS_AT;
    p[0] = (char)('0' + rest / 100);
    p[1] = (char)('0' + rest / 10 % 10);
    p[2] = (char)('0' + rest % 10);
    text_add(text, slice_of(time->text, ISO_TIME_SIZE));
}

void access_add_common_time(struct text *text, struct log_time *time)
{
    time_t second = (time_t)(time->wall / SECOND);
    struct tm t;
    if (second != time->second)
        strftime(time->text, sizeof time->text, "%d/%b/%Y:%H:%M:%S", gmtime_r(&second, &t));
    time->second = second;
    text_add(text, slice_of_text(time->text));
}
