/* Numbers and what has a unit: INTEGER, SIZE, DURATION, RATE and SHARE, read, bounded and written.
 */
#pragma once

#include "config/option.h"

/* INVALID and a static text that says what is wrong. */
enum status option_number_read(
    const struct option *option, struct slice text, void *ret_value, const char **ret_problem);

/* False when it is out of bounds; then `bounds` says which there are: "at most 10MiB". */
bool option_number_check(const struct option *option, const void *value, struct text *bounds);

/* In the option's unit, the shortest way. */
void option_number_format(const struct option *option, const void *value, struct text *text);
