/* What libyaml complains about, in words for the people who write the file. */
#pragma once

#include <yaml.h>

#include "config/diagnostic.h"

/* Turns the parser's error into a diagnostic; returns INVALID, or NO_MEMORY when that is what
 * happened. */
enum status yaml_problem_report(
    const yaml_parser_t *parser, const struct source *source, struct diagnostics *diagnostics);

/* A place that libyaml means (it counts from 0). */
struct place yaml_problem_place(const struct source *source, const yaml_mark_t *mark);
