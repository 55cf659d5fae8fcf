/* Reading a command's arguments: flags, options with a value, and operands, in any order. */
#pragma once

#include <stdbool.h>

#include "main/command.h"

/* One of what a command takes. Exactly one of `flag` and `value` is set. */
struct argument {
    const char *name; /* "--json"; NULL: the operand */
    bool *flag;
    const char **value; /* of an option, or the operand */
    bool is_required;
};

/* EXIT_DONE, or EXIT_USAGE after saying what is wrong. `arguments_taken` ends with {0}. */
int arguments_read(
    const struct command *command, int count, char **words, const struct argument *arguments_taken);
