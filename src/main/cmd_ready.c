#include "main/order_command.h"

static int run(int count, char **words)
{
    return order_command_run(&ready_command, "ready", count, words);
}

const struct command ready_command = {.name = "ready",
    .arguments = "SERVICE ENDPOINT [--control SOCKET] [--json]",
    .summary = "Gives an endpoint requests again after `weir drain` or `weir maintenance`.",
    .help = "If it is well: checks and ejections hold.",
    .options = order_command_options,
    .run = run};
