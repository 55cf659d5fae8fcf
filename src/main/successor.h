/* The old side of `weir upgrade`: starts the program that is to replace this one, hands the
 * listening sockets over to it, and learns whether it serves.
 *
 *     command              this process                          the new one (main/predecessor.h)
 *     POST /v1/upgrade --> starts it (main/spawn.h) -----------> begins
 *                          <---------------------------------    POST /v1/hand-over
 *                          "socket ...", a descriptor with each,
 *                          "note NAME", then its bytes
 *                          "end" ------------------------------> loads, opens, serves
 *                          <---------------------------------    "took N" ..., "ready"
 *                          lets go of the listeners
 *     <------------------- "done" -----------------------------> is the gateway
 *                          drains, and ends
 *
 * Behind the answer to POST /v1/hand-over the connection is a link (run/link.h). Until "ready" has
 * come nothing of this process has changed, and whatever goes wrong leaves it serving.
 *
 * Lives on the control thread's loop. */
#pragma once

#include <sys/types.h>

#include "http/exchange.h"
#include "run/inheritance.h"

struct successor;

struct successor_owner {
    /* Adds copies of all listening sockets. */
    enum status (*offer)(void *argument, struct inheritance *offer);
    /* The new process serves: lets go of what it took. */
    void (*let_go)(void *argument, const struct inheritance *offer, pid_t pid);
    /* All is said: this process may drain and end. */
    void (*replaced)(void *argument);
    void *argument;
    uint64_t upgrades; /* that led to this process */
};

enum status successor_new(const struct successor_owner *owner, struct successor **ret_successor);

/* Calls off what is under way, asking the new program to end, and lets nothing begin any more. On a
 * fiber. */
void successor_call_off(struct successor *successor);

/* Nothing may be under way. By the end of the link the new process learns that this one is gone, so
 * this is the last thing to do. NULL is fine, here and above. */
void successor_free(struct successor *successor);

/* Answer POST /v1/upgrade and POST /v1/hand-over; the argument is the successor. */
enum status successor_upgrade(void *argument, struct exchange *x);
enum status successor_hand_over(void *argument, struct exchange *x);
