#include "service/errand.h"

#include <stdlib.h>

struct errand {
    struct fiber *fiber; /* once it runs */
    void (*run)(void *owner);
    void *owner;
    struct errand **slot; /* borrowed from the owner; NULL: it has gone */
};

static void run_errand(void *argument)
{
    struct errand *errand = argument;
    errand->fiber = fiber_current();
    if (errand->slot)
        errand->run(errand->owner);
    if (errand->slot)
        *errand->slot = NULL;
    free(errand);
}

void errand_start(struct loop *loop, void (*run)(void *owner), void *owner, struct errand **slot)
{
    struct errand *errand = *slot ? NULL : calloc(1, sizeof *errand);
    if (!errand)
        return;
    *errand = (struct errand){.run = run, .owner = owner, .slot = slot};
    if (scope_start(loop_scope(loop), run_errand, errand))
        free(errand);
    else
        *slot = errand;
}

void errand_stop(struct errand **slot)
{
    struct errand *errand = *slot;
    if (!errand)
        return;
    *slot = NULL;
    errand->slot = NULL;
    if (errand->fiber)
        fiber_cancel(errand->fiber);
}

bool errand_is_stopped(void)
{
    return fiber_is_cancelled(fiber_current());
}
