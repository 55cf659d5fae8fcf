
#include <stdio.h>

#include "main/command.h"
#include "version.h"

static int run(int count, char **arguments)
{
    (void)arguments;
    if (count)
        return command_usage(&version_command, "takes no arguments");
    printf("weir %s\n", WEIR_VERSION);
    return EXIT_DONE;
}

const struct command version_command = {
    .name = "version", .arguments = "", .summary = "Prints the version.", .run = run};
