/* Doors: the listeners that a worker watches, and who serves what comes in by each: HTTP, TCP or
 * UDP.
 *
 * All workers watch a listener for connections. One for datagrams is watched by one of them alone,
 * since its sessions are nobody else's. On the worker's own thread. */
#pragma once

#include "gateway/worker.h"

/* Before the worker's thread is started, and when it has ended. */
void doors_init(struct worker *worker);
void doors_release(struct worker *worker);

/* Begins to watch a listener, if it is this worker's to watch. */
enum status door_open(struct worker *worker, struct listener *listener);

/* The worker has another snapshot: its rules hold for what comes in from now on. */
void doors_renew(struct worker *worker);

/* Stops watching a listener; `drains`: what waits in its queue is taken first. */
void doors_shut(struct worker *worker, const struct listener *listener, bool drains);
