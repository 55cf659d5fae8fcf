/* The control socket from the outside: how `weir reload` and `weir status` talk to a running
 * gateway. */
#pragma once

#include "base/arena.h"
#include "base/status.h"

/* Where the control socket is unless the user says: $WEIR_CONTROL, else /run/weir/control.sock for
 * root, else below $XDG_RUNTIME_DIR or /tmp. In the arena, with a NUL behind it. Makes the folder
 * if `make_folder`. Null data, and a complaint on stderr, when the folder below /tmp is not ours
 * alone. */
struct slice control_path(struct arena *arena, const char *wanted, bool make_folder);

struct control_answer {
    int status;
    struct slice body;
};

struct control_question {
    const char *method, *target;
    struct slice body;   /* JSON; empty: none */
    int64_t patience;    /* nanoseconds; 0: 30 s */
    int *ret_descriptor; /* set to the connection's, which the caller owns; NULL: it is closed */
};

/* One request over the control socket. On a fiber. REFUSED or NOT_FOUND: no gateway listens there.
 */
enum status control_call(struct arena *arena, struct slice path,
    const struct control_question *question, struct control_answer *ret_answer);

/* The same for commands, on a loop of its own; complains on stderr. An exit code when it fails, 0
 * when there is an answer. */
int control_ask(struct arena *arena, const char *wanted, const struct control_question *question,
    struct control_answer *ret_answer);

/* On stderr why the gateway has refused, as its problem document says it. */
void control_complain(struct arena *arena, struct slice problem);
