/* Starting the program that is to replace this one, with this process's own arguments.
 *
 * Between the two stands a guardian, a copy of this process that does nothing but wait: it tells
 * how the new program ended, and keeps its process id from being given to another meanwhile. When
 * the guardian goes, the new program is the child of whoever adopts orphans (init, the service
 * manager), as if they had started it.
 *
 * The new program has the standard streams and no other descriptor but 3, which is this process's
 * stderr; its own stderr is a pipe, so that its complaints can be shown to whoever asked for it. In
 * its environment WEIR_UPGRADE says so; nothing is left there of what the service manager passed to
 * this process alone. */
#pragma once

#include <sys/types.h>

#include "base/clock.h"
#include "base/status.h"

#define SPAWN_VARIABLE "WEIR_UPGRADE" /* in the environment of the new program: SPAWN_STDERR */
#define SPAWN_STDERR   3              /* its predecessor's stderr */

struct spawned {
    pid_t pid;      /* of the new program */
    pid_t guardian; /* 0: none */
    int output;     /* what the program writes to its stderr; owned, non-blocking */
    int reports;    /* what the guardian says; owned, non-blocking */
    int error;      /* errno when it could not be executed, as far as is known; else 0 */
};

/* How it ended. */
struct spawn_end {
    int error; /* errno: it could not be executed; 0: it was, and ... */
    int code;  /* its exit code; 128 and the signal's number when one killed it */
};

/* `binary`: what to execute, absolute or looked for in $PATH; NULL: the same as this process was
 * started as. NOT_FOUND when there is no such program; NO_MEMORY, IO_ERROR. */
enum status spawn_start(const char *binary, struct spawned *ret_spawned);

/* Waits until it has ended. On a fiber. TIMEOUT, CANCELLED; IO_ERROR when it is not known. */
enum status spawn_wait(struct spawned *spawned, instant deadline, struct spawn_end *ret_end);

/* Sends it a signal. Not after spawn_let_go. */
void spawn_signal(const struct spawned *spawned, int signal);

/* Takes the guardian away and closes what is open; the program goes on as it is. Harmless when
 * nothing was started. */
void spawn_let_go(struct spawned *spawned);
