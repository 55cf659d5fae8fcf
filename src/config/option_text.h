/* Values of options as a user would write them: the way back from the struct to the text. */
#pragma once

#include "config/option.h"

/* A value alone; false when its kind cannot be written (what a hook has read, networks, templates,
 * maps). */
bool option_text_value(const struct option *option, const void *value, struct text *text);

/* "{open: 10s, share: 50%}": the options that differ from `usual`; false when one of them cannot be
 * written. */
bool option_text_struct(
    const struct option_table *table, const void *value, const void *usual, struct text *text);

/* A scalar that stands inside braces: in quotes if it needs them. */
void option_text_scalar(struct slice s, struct text *text);
