/* One value of each kind of option: option_read_value (option.h). This header words kinds, for
 * messages, the schema and the reference. */
#pragma once

#include "config/option.h"

/* "a duration", "a list", "one of the words"; CUSTOM: its form, or "a value". */
const char *option_kind_noun(const struct option *option);

/* A value as an example: "5s", "10MiB"; "" where an example would say nothing. */
const char *option_kind_example(const struct option *option);

/* A bound of a number in the option's unit: "1m30s", "10MiB", "20%". */
void option_format_bound(const struct option *option, int64_t bound, struct text *text);

/* The option that says what values look like: itself, or the `item` of a CUSTOM one. */
const struct option *option_shape(const struct option *option);

/* The i-th name that a table takes besides its own, described; false behind the last. */
bool option_of_unknown(const struct option_table *table, size_t i, struct option *ret_option);

/* The option that a table's shorthand names; false when it has none. */
bool option_of_shorthand(const struct option_table *table, struct option *ret_option);

/* Whether a bound is one: both 0 means none, and a lower one alone has no upper one. */
bool option_has_minimum(const struct option *option);
bool option_has_maximum(const struct option *option);
