#include "base/clock.h"

#include <time.h>

static const char months[12][4] = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

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

static char *put_digits(char *p, unsigned value, int count)
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

void clock_http_date(int64_t seconds, char text[HTTP_DATE_SIZE])
{
    struct tm t;
    time_t when = (time_t)seconds;
    gmtime_r(&when, &t);
    char *p = put_text(text, days[t.tm_wday], 3);
    p = put_text(p, ", ", 2);
    p = put_digits(p, (unsigned)t.tm_mday, 2);
    *p++ = ' ';
    p = put_text(p, months[t.tm_mon], 3);
    *p++ = ' ';
    p = put_digits(p, (unsigned)(t.tm_year + 1900), 4);
    *p++ = ' ';
    p = put_digits(p, (unsigned)t.tm_hour, 2);
    *p++ = ':';
    p = put_digits(p, (unsigned)t.tm_min, 2);
    *p++ = ':';
    p = put_digits(p, (unsigned)t.tm_sec, 2);
    put_text(p, " GMT", 4);
}

void clock_iso_time(int64_t wall, char text[ISO_TIME_SIZE])
{
    struct tm t;
    time_t when = (time_t)(wall / SECOND);
    gmtime_r(&when, &t);
    char *p = put_digits(text, (unsigned)(t.tm_year + 1900), 4);
    *p++ = '-';
    p = put_digits(p, (unsigned)(t.tm_mon + 1), 2);
    *p++ = '-';
    p = put_digits(p, (unsigned)t.tm_mday, 2);
    *p++ = 'T';
    p = put_digits(p, (unsigned)t.tm_hour, 2);
    *p++ = ':';
    p = put_digits(p, (unsigned)t.tm_min, 2);
    *p++ = ':';
    p = put_digits(p, (unsigned)t.tm_sec, 2);
    *p++ = '.';
    p = put_digits(p, (unsigned)(wall % SECOND / MILLISECOND), 3);
    *p = 'Z';
}

static bool is_month(const char *text, int *ret_month)
{
    for (int i = 0; i < 12; i++)
        if (memcmp(months[i], text, 3) == 0) {
            *ret_month = i;
            return true;
        }
    return false;
}

/* One pattern of RFC 9110 §5.6.7: d day, n month's name, y year, H M S time, any other byte itself. */
static bool match_date(struct slice text, const char *pattern, struct tm *t)
{
    int *const field[128] = {['d'] = &t->tm_mday, ['y'] = &t->tm_year, ['H'] = &t->tm_hour,
        ['M'] = &t->tm_min, ['S'] = &t->tm_sec};
    if (text.size != strlen(pattern))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i], want = pattern[i];
        int *number = field[(unsigned char)want & 127];
        if (want == 'n') {
            if (!is_month(text.data + i, &t->tm_mon))
                return false;
            i += 2;
        } else if (number) {
            if (want == 'd' && c == ' ' && *number == 0)
                continue; /* asctime pads the day with a blank */
            if (c < '0' || c > '9')
                return false;
            *number = *number * 10 + (c - '0');
        } else if (c != want) {
            return false;
        }
    }
    return true;
}

static bool is_valid_date(const struct tm *t)
{
    return t->tm_mday >= 1 && t->tm_mday <= 31 && t->tm_hour <= 23 && t->tm_min <= 59 &&
           t->tm_sec <= 60;
}

/* RFC 9110: a two-digit year that seems to lie over 50 years ahead is the past one. */
static int full_year(int two_digits)
{
    struct tm today;
    time_t now = time(NULL);
    gmtime_r(&now, &today);
    int year = (today.tm_year + 1900) / 100 * 100 + two_digits;
    return year > today.tm_year + 1900 + 50 ? year - 100 : year;
}

bool clock_parse_http_date(struct slice text, int64_t *ret_seconds)
{
    struct tm t = {0};
    size_t comma = slice_find(text, ',');
    if (comma == 3 && match_date(slice_from(text, 3), ", dd nnn yyyy HH:MM:SS GMT", &t)) {
        t.tm_year -= 1900;
    } else if (comma < text.size && (t = (struct tm){0}, true) &&
               match_date(slice_from(text, comma), ", dd-nnn-yy HH:MM:SS GMT", &t)) {
        t.tm_year = full_year(t.tm_year) - 1900;
    } else if (comma == text.size && text.size > 3 && (t = (struct tm){0}, true) &&
               match_date(slice_from(text, 3), " nnn dd HH:MM:SS yyyy", &t)) {
        t.tm_year -= 1900;
    } else {
        return false;
    }
    if (!is_valid_date(&t))
        return false;
    *ret_seconds = timegm(&t);
    return true;
}
