/* Values with units, as text. On failure `*ret_problem` (a static text) says what is wrong and
 * shows the form: "a duration needs a unit: 5s, 250ms, 1m30s". Numbers may have a point ("1.5s") if
 * what they mean is whole. */
#pragma once

#include "base/status.h"
#include "config/option.h"

/* "250ms", "5s", "1m30s", "2h": units from large to small, each once. */
enum status unit_parse_duration(
    struct slice text, int64_t *ret_nanoseconds, const char **ret_problem);

/* "512B", "64KiB", "10MiB" (1024), "1MB" (1000). */
enum status unit_parse_size(struct slice text, int64_t *ret_bytes, const char **ret_problem);

/* "5/s", "100/min", "1000/h", "3/10s". The time is never 0; the count may be. */
enum status unit_parse_rate(struct slice text, struct rate *ret_rate, const char **ret_problem);

/* "20%", "0.5%", at most "100%". */
enum status unit_parse_percent(
    struct slice text, double *ret_share, const char **ret_problem); /* 125% too */
enum status unit_parse_share(struct slice text, double *ret_share, const char **ret_problem);

/* In the shortest exact form: "1m30s", "10MiB", "100/min", "20%"; each reads back as the same
 * value. */
void unit_format_duration(int64_t nanoseconds, struct text *text);
void unit_format_size(int64_t bytes, struct text *text);
void unit_format_rate(struct rate rate, struct text *text);
void unit_format_share(double share, struct text *text);
