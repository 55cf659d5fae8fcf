/* The new side of `weir upgrade` (main/successor.h tells the whole): a process that the running
 * gateway has started to replace it gets the listening sockets from it.
 *
 * Lives on the control thread's loop; all calls on fibers. */
#pragma once

#include <sys/types.h>

#include "base/slice.h"
#include "base/status.h"
#include "run/inheritance.h"

struct predecessor;

/* Asks the gateway on the control socket for its sockets and adds them to `inheritance`. Sets NULL
 * when no gateway has started this process. REFUSED, also when it does not want to be replaced:
 * complains on stderr. */
enum status predecessor_meet(
    struct slice control, struct inheritance *inheritance, struct predecessor **ret_predecessor);

/* This process serves: tells the predecessor, waits until it has let go of its listeners, and
 * closes what is left of the inheritance. From now on stderr is what the predecessor's was. `gone`
 * is called when the predecessor has ended, on a fiber. NULL is fine, here and below. */
void predecessor_relieve(struct predecessor *predecessor, struct inheritance *inheritance,
    void (*gone)(void *argument), void *argument);

pid_t predecessor_process(const struct predecessor *predecessor);

/* How many upgrades led to this process. */
uint64_t predecessor_upgrades(const struct predecessor *predecessor);

void predecessor_free(struct predecessor *predecessor);
