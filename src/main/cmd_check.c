#include <stdio.h>

#include "main/arguments.h"
#include "main/load.h"

struct check {
    const char *path;
    bool json;
};

static void print_good(const struct check *check, const struct snapshot *snapshot)
{
    size_t routes = snapshot->route_count, services = snapshot->named_services;
    printf("%s: good: %zu route%s, %zu service%s\n", check->path, routes, routes == 1 ? "" : "s",
        services, services == 1 ? "" : "s");
}

static int check(void *argument)
{
    const struct check *check = argument;
    struct loaded loaded;
    int code = load_configuration(check->path, check->json, &loaded);
    if (code == EXIT_DONE && !check->json)
        print_good(check, loaded.snapshot);
    loaded_release(&loaded);
    return code;
}

static int run(int count, char **words)
{
    struct check options = {NULL, false};
    const struct argument taken[] = {{.value = &options.path, .is_required = true},
        {.name = "--json", .flag = &options.json}, {0}};
    int code = arguments_read(&check_command, count, words, taken);
    return code ? code : run_on_fiber(check, &options);
}

static const char *const options[] = {"--json", NULL};

const struct command check_command = {.name = "check",
    .arguments = "FILE [--json]",
    .summary = "Says what is wrong with a configuration.",
    .help = "All errors at once, each with its place. Exit code 0 when there are none, 3 when "
            "there are.\n"
            "--json prints them as a JSON array on stdout.",
    .options = options,
    .run = run};
