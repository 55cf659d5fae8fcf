/* Commands as checks: a program on this machine that says by its exit code whether an endpoint is
 * well. 0 is well; what it writes goes into the endpoint's history.
 *
 * It runs from /, without a shell, as the gateway's own user, in a process group of its own, with
 * nothing open but /dev/null as stdin and one pipe as stdout and stderr. Its environment is PATH
 * and
 *
 *     WEIR_SERVICE    the service's name
 *     WEIR_ENDPOINT   the endpoint as the status shows it: 10.0.0.1:8080
 *     WEIR_HOST       its address: 10.0.0.1
 *     WEIR_PORT       its port: 8080; empty for a unix socket
 *     WEIR_STATE      up or down: what is known so far
 *
 * so that no secret of the gateway's own environment gets there. Starting it does not copy the
 * process (posix_spawn), and happens on the control thread: no worker notices. */
#pragma once

/* How many run at once; whoever comes later waits. It goes when nobody holds it any more: commands
 * that are being stopped may outlive the plane. */
struct command_gate;

#define COMMANDS_AT_ONCE 8

struct command_gate *command_gate_new(void); /* NULL: no memory */
void command_gate_unref(struct command_gate *gate);
