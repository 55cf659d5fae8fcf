/* Waiting for each other within one loop: a wait queue (condition) and a bounded channel. */
#pragma once

#include "base/list.h"
#include "run/fiber.h"

struct wait_queue {
    struct list waiters;
};

void wait_queue_init(struct wait_queue *queue);

/* Parks the running fiber until it is woken: first come, first woken. */
enum status wait_queue_wait(struct wait_queue *queue, instant deadline);

/* Wakes the fiber that has waited longest; false when none waits. */
bool wait_queue_wake_one(struct wait_queue *queue);
void wait_queue_wake_all(struct wait_queue *queue);

/* A channel carries at most `capacity` pointers that have not been received yet. After
 * channel_close, sending fails with CLOSED, and receiving yields what is left, then END. */
struct channel;

struct channel *channel_new(size_t capacity); /* NULL: no memory */
void channel_free(struct channel *channel);   /* nobody may wait on it */
enum status channel_send(struct channel *channel, void *item, instant deadline);
enum status channel_receive(struct channel *channel, instant deadline, void **ret_item);
void channel_close(struct channel *channel);
