/* Asides: work on a worker's fiber that an exchange begins and that may outlive it, such as a copy
 * of its request or a token that later ones will need. It holds the configuration meanwhile; when
 * the worker leaves, it is cancelled. */
#pragma once

#include "run/fiber.h"
#include "service/service.h"

/* Starts `run(argument)` on the worker of the exchange, whose `pinned` it is. On that worker.
 * NO_MEMORY, or CANCELLED when the worker ends: `run` is not called then. */
enum status aside_start(struct service_plane *plane, void *pinned, unsigned worker,
    fiber_function *run, void *argument);

/* The plane of a service, for who calls it aside. */
struct service_plane *aside_plane(const struct service *service);
