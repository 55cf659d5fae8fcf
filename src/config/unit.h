/* Values with units, as text. On failure `*ret_problem` (a static text) says what is wrong and shows the form: "a duration needs a
 * unit: 5s, 250ms, 1m30s". */
#pragma once

#include "base/status.h"
#include "config/option.h"

enum status unit_parse_duration(struct slice text, int64_t *ret_nanoseconds, const char **ret_problem);
enum status unit_parse_size(struct slice text, int64_t *ret_bytes, const char **ret_problem);
enum status unit_parse_rate(struct slice text, struct rate *ret_rate, const char **ret_problem);
enum status unit_parse_share(struct slice text, double *ret_share, const char **ret_problem);

/* In the shortest exact form: "1m30s", "10MiB", "100/min", "20%". */
void unit_format_duration(int64_t nanoseconds, struct text *text);
void unit_format_size(int64_t bytes, struct text *text);
