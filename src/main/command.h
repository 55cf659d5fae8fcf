/* Subcommands of the program: one file each, listed in commands.def.
 *
 * What a user asked for goes to stdout, talk goes to stderr. */
#pragma once

enum exit_code { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_CONFIG = 3 };

struct command {
    const char *name;
    const char *arguments;      /* "FILE [--json]" */
    const char *summary;        /* one line */
    const char *help;           /* more lines, or NULL */
    const char *const *options; /* for completion: "--json", ends with NULL; or NULL */
    int (*run)(int count,
        char **arguments); /* without the program's and the command's names; an exit code */
};

extern const struct command *const commands[]; /* ends with NULL */

#define COMMAND(name) extern const struct command name##_command;
#include "main/commands.def"
#undef COMMAND

/* Prints how to use a command to stderr; returns EXIT_USAGE. */
int command_usage(const struct command *command, const char *problem);
