/* The lines of a YAML text laid out anew: two blanks for each level, no blanks at the ends of
 * lines, at most one empty line in a row. What stands inside a line stays as it is, comments too;
 * so do texts that go over several lines, but for their indentation. */
#pragma once

#include "base/status.h"
#include "base/text.h"

/* `source` can be read as YAML. INVALID when it cannot, NO_MEMORY. */
enum status layout_lines(struct slice source, struct text *text);
