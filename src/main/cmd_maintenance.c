#include "main/order_command.h"

static int run(int count, char **words)
{
    return order_command_run(&maintenance_command, "maintenance", count, words);
}

const struct command maintenance_command = {.name = "maintenance",
    .arguments = "SERVICE ENDPOINT [--control SOCKET] [--json]",
    .summary = "Keeps new requests from an endpoint, and checks too.",
    .help = "Until `weir ready`, also across reloads.",
    .options = order_command_options,
    .run = run};
