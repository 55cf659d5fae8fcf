#include "service/aside.h"

#include "service/service_state.h"

#include <stdlib.h>

struct aside {
    const struct service_plane_options *plane;
    void *pinned;
    unsigned worker;
    fiber_function *run;
    void *argument;
};

/* The configuration is let go of last: the work used it. */
static void run_aside(void *argument)
{
    struct aside aside = *(struct aside *)argument;
    free(argument);
    aside.run(aside.argument);
    if (aside.plane->let_go)
        aside.plane->let_go(aside.pinned, aside.worker);
}

struct service_plane *aside_plane(const struct service *service)
{
    return service->plane;
}

enum status aside_start(
    struct service_plane *plane, void *pinned, unsigned worker, fiber_function *run, void *argument)
{
    struct aside *aside = malloc(sizeof *aside);
    if (!aside)
        return NO_MEMORY;
    *aside = (struct aside){&plane->options, pinned, worker, run, argument};
    enum status e = scope_start(&plane->asides[worker], run_aside, aside);
    if (e)
        free(aside);
    else if (plane->options.hold)
        plane->options.hold(pinned, worker);
    return e;
}
