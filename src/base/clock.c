#include "base/clock.h"

#include <time.h>

/* The calendar is reckoned here and not by gmtime and timegm, which take a lock of the C library's.
 */
static const char months[12][4] = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const weekdays[7] = {
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

#define DAY_SECONDS 86400
#define EPOCH_DAY   719468                /* from 0000-03-01 to 1970-01-01 */
#define ERA_DAYS    146097                /* in 400 years, after which the calendar repeats */
#define LAST_SECOND INT64_C(253402300799) /* of the year 9999 */

struct date {
    int year, month, day; /* month and day from 1 */
    int hour, minute, second;
    int weekday; /* from Sunday, 0 */
};

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

instant clock_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

instant clock_after(instant from, int64_t duration)
{
    if (duration <= 0 || from > NEVER - duration)
        return NEVER;
    return from + duration;
}

/* Both directions count years from March, so that a leap day is a year's last: months then begin
 * after (153 m + 2) / 5 days, m from March. */
static struct date date_of(int64_t seconds)
{
    if (seconds < 0)
        seconds = 0;
    if (seconds > LAST_SECOND)
        seconds = LAST_SECOND;
    int days = (int)(seconds / DAY_SECONDS), rest = (int)(seconds % DAY_SECONDS);
    int in_era = (days + EPOCH_DAY) % ERA_DAYS;
    int year = (in_era - in_era / 1460 + in_era / 36524 - in_era / (ERA_DAYS - 1)) / 365;
    int in_year = in_era - (365 * year + year / 4 - year / 100);
    int month = (5 * in_year + 2) / 153;
    return (struct date){.year = (days + EPOCH_DAY) / ERA_DAYS * 400 + year + (month >= 10),
        .month = month < 10 ? month + 3 : month - 9,
        .day = in_year - (153 * month + 2) / 5 + 1,
        .hour = rest / 3600,
        .minute = rest / 60 % 60,
        .second = rest % 60,
        .weekday = (days + 4) % 7};
}

static int64_t seconds_of(const struct date *date)
{
    int year = date->year - (date->month <= 2) + 400; /* an era later, so that it is not negative */
    int month = (date->month + 9) % 12;
    int in_year = (153 * month + 2) / 5 + date->day - 1;
    int64_t days =
        (int64_t)365 * year + year / 4 - year / 100 + year / 400 + in_year - EPOCH_DAY - ERA_DAYS;
    return days * DAY_SECONDS + date->hour * 3600 + date->minute * 60 + date->second;
}

static char *put_digits(char *p, int value, int count)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        p[i] = (char)('0' + value % 10);
    return p + count;
}

static char *put_text(char *p, const char *text, size_t size)
{
    memcpy(p, text, size);
    return p + size;
}

static char *put_time(char *p, const struct date *date)
{
    p = put_digits(p, date->hour, 2);
    *p++ = ':';
    p = put_digits(p, date->minute, 2);
    *p++ = ':';
    return put_digits(p, date->second, 2);
}

void clock_http_date(int64_t seconds, char text[HTTP_DATE_SIZE])
{
    struct date date = date_of(seconds);
    char *p = put_text(text, weekdays[date.weekday], 3);
    p = put_text(p, ", ", 2);
    p = put_digits(p, date.day, 2);
    *p++ = ' ';
    p = put_text(p, months[date.month - 1], 3);
    *p++ = ' ';
    p = put_digits(p, date.year, 4);
    *p++ = ' ';
    p = put_time(p, &date);
    put_text(p, " GMT", 4);
}

void clock_iso_time(int64_t wall, char text[ISO_TIME_SIZE])
{
    int64_t since_1970 = wall < 0 ? 0 : wall;
    struct date date = date_of(since_1970 / SECOND);
    char *p = put_digits(text, date.year, 4);
    *p++ = '-';
    p = put_digits(p, date.month, 2);
    *p++ = '-';
    p = put_digits(p, date.day, 2);
    *p++ = 'T';
    p = put_time(p, &date);
    *p++ = '.';
    p = put_digits(p, (int)(since_1970 % SECOND / MILLISECOND), 3);
    *p = 'Z';
}

static bool read_month(const char *text, int *ret_month)
{
    for (int i = 0; i < 12; i++)
        if (memcmp(months[i], text, 3) == 0) {
            *ret_month = i + 1;
            return true;
        }
    return false;
}

/* Takes a weekday's name, or its first three letters, off the front. Which day it is does not
 * matter. */
static bool skip_weekday(struct slice *text, bool is_short)
{
    for (int i = 0; i < 7; i++) {
        struct slice name = slice_of_text(weekdays[i]);
        if (is_short)
            name = slice_head(name, 3);
        if (slice_has_prefix(*text, name)) {
            *text = slice_from(*text, name.size);
            return true;
        }
    }
    return false;
}

/* The small letters of a pattern are a date's digits: y year, d day, h hour, m minute, s second; D
 * is a day's digit for which a blank may stand, nnn a month's name. All else stands for itself. */
static int *field_of(struct date *date, char letter)
{
    switch (letter) {
    case 'y':
        return &date->year;
    case 'd':
    case 'D':
        return &date->day;
    case 'h':
        return &date->hour;
    case 'm':
        return &date->minute;
    case 's':
        return &date->second;
    default:
        return NULL;
    }
}

static bool match_date(struct slice text, const char *pattern, struct date *ret_date)
{
    struct date date = {0};
    if (text.size != strlen(pattern))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        int *number = field_of(&date, pattern[i]);
        if (pattern[i] == 'n') {
            if (!read_month(text.data + i, &date.month))
                return false;
            i += 2;
        } else if (number && c >= '0' && c <= '9') {
            *number = *number * 10 + (c - '0');
        } else if (c != (pattern[i] == 'D' ? ' ' : pattern[i]) || (number && pattern[i] != 'D')) {
            return false;
        }
    }
    *ret_date = date;
    return true;
}

static bool is_leap_year(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static bool is_valid_date(const struct date *date)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int last = days[date->month - 1] + (date->month == 2 && is_leap_year(date->year));
    return date->day >= 1 && date->day <= last && date->hour <= 23 && date->minute <= 59 &&
           date->second <= 60; /* a leap second */
}

/* RFC 9110 §5.6.7: what would lie over 50 years ahead is meant to be past. */
static int full_year(int two_digits)
{
    int now = date_of(clock_wall() / SECOND).year;
    int year = now / 100 * 100 + two_digits;
    if (year > now + 50)
        return year - 100;
    return year <= now - 50 ? year + 100 : year;
}

bool clock_parse_http_date(struct slice text, int64_t *ret_seconds)
{
    struct date date;
    struct slice after_short = text, after_long = text;
    bool is_short = skip_weekday(&after_short, true), is_long = skip_weekday(&after_long, false);
    if (is_long && match_date(after_long, ", dd-nnn-yy hh:mm:ss GMT", &date))
        date.year = full_year(date.year);
    else if (!is_short || (!match_date(after_short, ", dd nnn yyyy hh:mm:ss GMT", &date) &&
                              !match_date(after_short, " nnn Dd hh:mm:ss yyyy", &date)))
        return false;
    if (!is_valid_date(&date))
        return false;
    *ret_seconds = seconds_of(&date);
    return true;
}
