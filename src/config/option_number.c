#include "config/option_number.h"

#include "config/option_value.h"
#include "config/unit.h"

static enum status read_integer(struct slice text, int64_t *ret_value, const char **ret_problem)
{
    bool is_negative = text.size && text.data[0] == '-';
    uint64_t size;
    if (!slice_to_u64(is_negative ? slice_from(text, 1) : text, &size)) {
        *ret_problem = "a whole number has digits alone: 0, 10, 8080";
        return INVALID;
    }
    if (size > INT64_MAX) {
        *ret_problem = "a number that large is not understood";
        return INVALID;
    }
    *ret_value = is_negative ? -(int64_t)size : (int64_t)size;
    return OK;
}

enum status option_number_read(
    const struct option *option, struct slice text, void *ret_value, const char **ret_problem)
{
    switch ((int)option->kind) {
    case OPTION_SIZE:
        return unit_parse_size(text, ret_value, ret_problem);
    case OPTION_DURATION:
        return unit_parse_duration(text, ret_value, ret_problem);
    case OPTION_RATE:
        return unit_parse_rate(text, ret_value, ret_problem);
    case OPTION_SHARE:
        return option->maximum > 100 ? unit_parse_percent(text, ret_value, ret_problem)
                                     : unit_parse_share(text, ret_value, ret_problem);
    default:
        return read_integer(text, ret_value, ret_problem);
    }
}

bool option_has_minimum(const struct option *option)
{
    return option->minimum || option->maximum;
}

bool option_has_maximum(const struct option *option)
{
    return option->maximum || option->minimum < 0;
}

void option_format_bound(const struct option *option, int64_t bound, struct text *text)
{
    if (option->kind == OPTION_SIZE)
        unit_format_size(bound, text);
    else if (option->kind == OPTION_DURATION)
        unit_format_duration(bound, text);
    else
        text_add_i64(text, bound);
    if (option->kind == OPTION_SHARE)
        text_add_char(text, '%');
}

static bool is_within(const struct option *option, const void *value)
{
    bool has_minimum = option_has_minimum(option), has_maximum = option_has_maximum(option);
    if (option->kind == OPTION_SHARE) {
        double percent = *(const double *)value * 100;
        return (!has_minimum || percent >= (double)option->minimum) &&
               (!has_maximum || percent <= (double)option->maximum);
    }
    int64_t number =
        option->kind == OPTION_RATE ? ((const struct rate *)value)->count : *(const int64_t *)value;
    return (!has_minimum || number >= option->minimum) &&
           (!has_maximum || number <= option->maximum);
}

bool option_number_check(const struct option *option, const void *value, struct text *bounds)
{
    if (is_within(option, value))
        return true;
    if (option->kind == OPTION_RATE)
        text_add_literal(bounds, "the count of a rate is ");
    else
        text_add_literal(bounds, "it is ");
    if (option_has_maximum(option) && option->minimum == 0 && option->kind != OPTION_INTEGER) {
        text_add_literal(bounds, "at most ");
        option_format_bound(option, option->maximum, bounds);
        return false;
    }
    text_add_literal(bounds, "at least ");
    option_format_bound(option, option->minimum, bounds);
    if (option_has_maximum(option)) {
        text_add_literal(bounds, " and at most ");
        option_format_bound(option, option->maximum, bounds);
    }
    return false;
}

void option_number_format(const struct option *option, const void *value, struct text *text)
{
    switch ((int)option->kind) {
    case OPTION_SIZE:
        unit_format_size(*(const int64_t *)value, text);
        return;
    case OPTION_DURATION:
        unit_format_duration(*(const int64_t *)value, text);
        return;
    case OPTION_RATE:
        unit_format_rate(*(const struct rate *)value, text);
        return;
    case OPTION_SHARE:
        unit_format_share(*(const double *)value, text);
        return;
    default:
        text_add_i64(text, *(const int64_t *)value);
    }
}
