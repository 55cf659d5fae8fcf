#include "config/unit.h"

#include <stdio.h>

#include "base/clock.h"

struct unit {
    struct slice name;
    int64_t factor;
};

/* The largest first: so a duration is written. */
static const struct unit duration_units[] = {{SLICE_INIT("d"), DAY}, {SLICE_INIT("h"), HOUR},
    {SLICE_INIT("m"), MINUTE}, {SLICE_INIT("s"), SECOND}, {SLICE_INIT("ms"), MILLISECOND},
    {SLICE_INIT("us"), MICROSECOND}, {SLICE_INIT("ns"), NANOSECOND}};

/* In the order in which unit_format_size tries them. */
static const struct unit size_units[] = {{SLICE_INIT("TiB"), (int64_t)1 << 40},
    {SLICE_INIT("GiB"), 1 << 30}, {SLICE_INIT("MiB"), 1 << 20}, {SLICE_INIT("KiB"), 1 << 10},
    {SLICE_INIT("TB"), 1000000000000}, {SLICE_INIT("GB"), 1000000000}, {SLICE_INIT("MB"), 1000000},
    {SLICE_INIT("kB"), 1000}, {SLICE_INIT("B"), 1}, {SLICE_INIT("KB"), 1000}};

/* What may stand behind a rate's slash; the first of those that mean the same is written. */
static const struct unit rate_units[] = {{SLICE_INIT("s"), SECOND}, {SLICE_INIT("sec"), SECOND},
    {SLICE_INIT("second"), SECOND}, {SLICE_INIT("min"), MINUTE}, {SLICE_INIT("m"), MINUTE},
    {SLICE_INIT("minute"), MINUTE}, {SLICE_INIT("h"), HOUR}, {SLICE_INIT("hour"), HOUR},
    {SLICE_INIT("day"), DAY}, {SLICE_INIT("d"), DAY}, {SLICE_INIT("month"), RATE_MONTH}};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct unit *find_unit(const struct unit *units, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal(units[i].name, name))
            return &units[i];
    return NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The letters at the front of a text. */
static struct slice take_letters(struct slice *rest)
{
    size_t size = 0;
    while (
        size < rest->size && ((rest->data[size] | 0x20) >= 'a' && (rest->data[size] | 0x20) <= 'z'))
        size++;
    struct slice letters = slice_head(*rest, size);
    *rest = slice_from(*rest, size);
    return letters;
}

/* Takes "12" or "1.5" off the front as a whole number of 10^-scale, at most nine digits behind the
 * point. */
static bool take_decimal(struct slice *rest, int64_t *ret_value, int64_t *ret_scale)
{
    int64_t value = 0, scale = 1;
    size_t i = 0;
    bool is_fraction = false;
    for (; i < rest->size; i++) {
        char c = rest->data[i];
        if (c == '.' && !is_fraction && i > 0) {
            is_fraction = true;
            continue;
        }
        if (!is_digit(c))
            break;
        if (is_fraction && __builtin_mul_overflow(scale, (int64_t)10, &scale))
            return false;
        if (__builtin_mul_overflow(value, (int64_t)10, &value) ||
            __builtin_add_overflow(value, (int64_t)(c - '0'), &value))
            return false;
    }
    if (i == 0 || scale > 1000000000 || rest->data[i - 1] == '.')
        return false;
    *rest = slice_from(*rest, i);
    *ret_value = value;
    *ret_scale = scale;
    return true;
}

/* value / scale * factor, if that is a whole number that fits. */
static bool multiply(int64_t value, int64_t scale, int64_t factor, int64_t *ret_product)
{
    __int128 product = (__int128)value * factor;
    if (product % scale || product / scale > INT64_MAX)
        return false;
    *ret_product = (int64_t)(product / scale);
    return true;
}

static enum status fail(const char *problem, const char **ret_problem)
{
    *ret_problem = problem;
    return INVALID;
}

static bool begins_with_digit(struct slice text)
{
    return text.size && is_digit(text.data[0]);
}

enum status unit_parse_duration(
    struct slice text, int64_t *ret_nanoseconds, const char **ret_problem)
{
    static const char form[] = "a duration is a number and its unit: 5s, 250ms, 1m30s, 2h";
    int64_t total = 0, last_factor = INT64_MAX;
    if (!begins_with_digit(text))
        return fail(form, ret_problem);
    while (text.size) {
        int64_t value, scale, part;
        if (!begins_with_digit(text) || !take_decimal(&text, &value, &scale))
            return fail(form, ret_problem);
        struct slice name = take_letters(&text);
        if (name.size == 0)
            return fail("a duration needs a unit: 5s, 250ms, 1m30s", ret_problem);
        const struct unit *unit = find_unit(duration_units, COUNT(duration_units), name);
        if (!unit)
            return fail("the units of a duration are ns, us, ms, s, m, h and d", ret_problem);
        if (unit->factor >= last_factor)
            return fail("a duration goes from large to small units: 1h30m, 1m30s", ret_problem);
        if (!multiply(value, scale, unit->factor, &part) ||
            __builtin_add_overflow(total, part, &total))
            return fail("a duration is at most 292 years, in whole nanoseconds", ret_problem);
        last_factor = unit->factor;
    }
    *ret_nanoseconds = total;
    return OK;
}

enum status unit_parse_size(struct slice text, int64_t *ret_bytes, const char **ret_problem)
{
    static const char form[] = "a size is a number and its unit: 512B, 64KiB, 10MiB, 1GB";
    int64_t value, scale, bytes;
    if (!begins_with_digit(text) || !take_decimal(&text, &value, &scale))
        return fail(form, ret_problem);
    text = slice_trim(text);
    struct slice name = take_letters(&text);
    if (text.size)
        return fail(form, ret_problem);
    if (name.size == 0)
        return fail("a size needs a unit: 512B, 64KiB, 10MiB, 1GB", ret_problem);
    const struct unit *unit = find_unit(size_units, COUNT(size_units), name);
    if (!unit)
        return fail(
            "the units of a size are B, KiB, MiB, GiB, TiB (powers of 1024) and kB, MB, GB, TB "
            "(of 1000)",
            ret_problem);
    if (!multiply(value, scale, unit->factor, &bytes))
        return fail("a size is a whole number of bytes, below 8388608TiB", ret_problem);
    *ret_bytes = bytes;
    return OK;
}

enum status unit_parse_rate(struct slice text, struct rate *ret_rate, const char **ret_problem)
{
    static const char form[] = "a rate is a number of times in a time: 5/s, 100/min, 1000/h, 3/10s";
    size_t slash = slice_find(text, '/');
    uint64_t count;
    if (!begins_with_digit(text))
        return fail(form, ret_problem);
    if (slash == text.size)
        return fail("a rate needs a time: 5/s, 100/min, 1000/h, 3/10s", ret_problem);
    if (!slice_to_u64(slice_head(text, slash), &count) || count > INT64_MAX)
        return fail(form, ret_problem);
    struct slice time = slice_from(text, slash + 1);
    struct rate rate = {(int64_t)count, 0};
    const struct unit *unit = find_unit(rate_units, COUNT(rate_units), time);
    if (unit)
        rate.per = unit->factor;
    else if (!begins_with_digit(time))
        return fail("the times of a rate are s, min, h, day and month, or a duration such as 10s",
            ret_problem);
    else if (unit_parse_duration(time, &rate.per, ret_problem))
        return INVALID;
    if (rate.per == 0)
        return fail("the time of a rate is longer than nothing: 5/s, 100/min", ret_problem);
    *ret_rate = rate;
    return OK;
}

enum status unit_parse_percent(struct slice text, double *ret_share, const char **ret_problem)
{
    static const char form[] = "a share is a number of percent: 20%, 0.5%";
    int64_t value, scale;
    if (!begins_with_digit(text) || !take_decimal(&text, &value, &scale))
        return fail(form, ret_problem);
    text = slice_trim(text);
    if (text.size == 0)
        return fail("a share needs its percent sign: 20%, 0.5%", ret_problem);
    if (!slice_equal(text, SLICE("%")))
        return fail(form, ret_problem);
    *ret_share = (double)value / (double)scale / 100;
    return OK;
}

enum status unit_parse_share(struct slice text, double *ret_share, const char **ret_problem)
{
    double share;
    enum status e = unit_parse_percent(text, &share, ret_problem);
    if (!e && share > 1)
        return fail("a share is at most 100%", ret_problem);
    if (!e)
        *ret_share = share;
    return e;
}

void unit_format_duration(int64_t nanoseconds, struct text *text)
{
    if (nanoseconds < 0) {
        text_add_char(text, '-');
        nanoseconds = nanoseconds == INT64_MIN ? INT64_MAX : -nanoseconds;
    }
    if (nanoseconds == 0)
        text_add_literal(text, "0s");
    for (size_t i = 0; i < COUNT(duration_units) && nanoseconds; i++) {
        const struct unit *unit = &duration_units[i];
        if (nanoseconds < unit->factor)
            continue;
        text_add_i64(text, nanoseconds / unit->factor);
        text_add(text, unit->name);
        nanoseconds %= unit->factor;
    }
}

/* The unit that leaves the smallest whole number; of equals the binary one. */
static const struct unit *size_unit_of(int64_t bytes)
{
    const struct unit *best = &size_units[COUNT(size_units) - 2];
    for (size_t i = 0; i + 1 < COUNT(size_units) && bytes; i++)
        if (bytes % size_units[i].factor == 0 && size_units[i].factor > best->factor)
            best = &size_units[i];
    return best;
}

void unit_format_size(int64_t bytes, struct text *text)
{
    const struct unit *unit = size_unit_of(bytes);
    text_add_i64(text, bytes / unit->factor);
    text_add(text, unit->name);
}

void unit_format_rate(struct rate rate, struct text *text)
{
    text_add_i64(text, rate.count);
    text_add_char(text, '/');
    for (size_t i = 0; i < COUNT(rate_units); i++)
        if (rate_units[i].factor == rate.per) {
            text_add(text, rate_units[i].name);
            return;
        }
    unit_format_duration(rate.per, text);
}

void unit_format_share(double share, struct text *text)
{
    char digits[32];
    int size = snprintf(digits, sizeof digits, "%.10f", share * 100);
    while (size > 1 && digits[size - 1] == '0')
        size--;
    if (size > 1 && digits[size - 1] == '.')
        size--;
    text_add(text, slice_of(digits, (size_t)size));
    text_add_char(text, '%');
}
