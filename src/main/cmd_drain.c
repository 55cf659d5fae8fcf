#include "main/order_command.h"

static int run(int count, char **words)
{
    return order_command_run(&drain_command, "drain", count, words);
}

const struct command drain_command = {.name = "drain",
    .arguments = "SERVICE ENDPOINT [--control SOCKET] [--json]",
    .summary = "Keeps new requests from an endpoint; those under way go on.",
    .help = "It is still checked. Until `weir ready`, also across reloads.",
    .options = order_command_options,
    .run = run};
