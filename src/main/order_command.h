/* What `weir drain`, `weir maintenance` and `weir ready` have in common. */
#pragma once

#include "main/command.h"

/* Reads SERVICE ENDPOINT and tells the running gateway; an exit code. */
int order_command_run(const struct command *command, const char *state, int count, char **words);

extern const char *const order_command_options[];
