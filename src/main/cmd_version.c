
#include <stdio.h>

#include "base/module.h"
#include "main/command.h"
#include "version.h"

static void print_module(void *argument, const struct weir_module *module)
{
    char about[100] = "";
    (void)argument;
    module->about(about, sizeof about);
    printf("module %s, with %s\n", module->name, about);
}

static int run(int count, char **arguments)
{
    (void)arguments;
    if (count)
        return command_usage(&version_command, "takes no arguments");
    printf("weir %s\n", WEIR_VERSION);
    module_each_installed(print_module, NULL);
    return EXIT_DONE;
}

const struct command version_command = {.name = "version",
    .arguments = "",
    .summary = "Prints the version, and the modules that are installed.",
    .run = run};
