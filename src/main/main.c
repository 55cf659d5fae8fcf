/* The program: finds the subcommand and runs it. */
#include "main/command.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

const struct command *const commands[] = {
#define COMMAND(name) &name##_command,
#include "main/commands.def"
#undef COMMAND
    NULL};

static void print_help(FILE *to)
{
    fprintf(to, "weir: an API gateway and load balancer\n\nusage: weir COMMAND ...\n\n");
    for (size_t i = 0; commands[i]; i++)
        fprintf(to, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(to, "\n`weir COMMAND --help` says more. `weir demo` shows it at work.\n");
}

static void print_command_help(const struct command *command, FILE *to)
{
    fprintf(to, "usage: weir %s %s\n\n%s\n", command->name, command->arguments, command->summary);
    if (command->help)
        fprintf(to, "\n%s\n", command->help);
}

int command_usage(const struct command *command, const char *problem)
{
    fprintf(stderr, "weir %s: %s\n", command->name, problem);
    fprintf(stderr, "usage: weir %s %s\n", command->name, command->arguments);
    return EXIT_USAGE;
}

static int is_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help");
}

static int run(const struct command *command, int count, char **arguments)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(arguments[i], "--help") || !strcmp(arguments[i], "-h")) {
            print_command_help(command, stdout);
            return EXIT_DONE;
        }
    return command->run(count, arguments);
}

int main(int count, char **arguments)
{
    signal(SIGPIPE, SIG_IGN);
    if (count < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (is_help(arguments[1])) {
        print_help(stdout);
        return EXIT_DONE;
    }
    const char *name = !strcmp(arguments[1], "--version") ? "version" : arguments[1];
    for (size_t i = 0; commands[i]; i++)
        if (!strcmp(name, commands[i]->name))
            return run(commands[i], count - 2, arguments + 2);
    fprintf(stderr, "weir: there is no command \"%s\"; `weir help` lists them\n", arguments[1]);
    return EXIT_USAGE;
}
