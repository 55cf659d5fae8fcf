/* Origins as the Fetch standard serialises them, and patterns for them.
 *
 *     https://shop.example      just this one
 *     https:// *.shop.example   (without the blank) any name below it, not itself
 *     http://localhost:*        any port, also none
 *     null                      documents without an origin (files, sandboxed frames)
 *
 * Browsers send origins in lower case and without the scheme's usual port; comparing is byte by
 * byte. */
#pragma once

#include "base/slice.h"
#include "base/status.h"

struct origin_pattern {
    struct slice scheme; /* "https"; empty for "null" */
    struct slice host;   /* "shop.example", or ".shop.example" when any name below it is meant */
    struct slice port;   /* digits, or empty */
    bool has_any_subdomain, has_any_port;
    struct slice exact; /* all of it, when it means one origin; else empty */
};

/* Slices of `text`. INVALID, and why in `*ret_problem` (a static text). */
enum status origin_pattern_parse(
    struct slice text, struct origin_pattern *ret_pattern, const char **ret_problem);

/* False also for an origin that is malformed. */
bool origin_matches(const struct origin_pattern *pattern, struct slice origin);
