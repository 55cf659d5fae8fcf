/* Whether bytes are a text that may be read as YAML at all: UTF-8 without NUL, control characters,
 * and the characters that YAML 1.1 readers take for line ends and others do not. */
#pragma once

#include "config/diagnostic.h"

/* Complains about the first byte that may not be there: INVALID. A byte order mark at the front is
 * taken off `*text`. */
enum status text_check(
    const struct source *source, struct diagnostics *diagnostics, struct slice *text);
