/* Asides: work on a worker's fiber that an exchange begins and that may outlive it, such as a copy
 * of its request or a token that later ones will need. It holds the configuration meanwhile; when
 * the worker leaves, it is cancelled. */
#pragma once

#include "run/fiber.h"
#include "service/service.h"

/* Starts `run(argument)` on the worker of the exchange, whose `pinned` it is. `service` is what it
 * will call. NO_MEMORY, or CANCELLED when the worker ends: `run` is not called then. */
enum status aside_start(const struct service *service, void *pinned, unsigned worker,
    fiber_function *run, void *argument);
