#include "run/wait.h"

#include <stdlib.h>

#include "base/must.h"
#include "run/fiber_core.h"

/* A waiter in a queue; `node` points at itself once it was woken by the queue. */

void wait_queue_init(struct wait_queue *queue)
{
    list_init(&queue->waiters);
}

enum status wait_queue_wait(struct wait_queue *queue, instant deadline)
{
    struct waiter waiter = {.fiber = fiber_that_waits()};
    list_push_back(&queue->waiters, &waiter.node);
    enum status e;
    do {
        e = fiber_wait(deadline);
    } while (e == OK && !list_is_empty(&waiter.node));
    list_remove(&waiter.node);
    return e;
}

/* One whose wait has ended otherwise, but who has not run yet, is passed over, so that the wake-up
 * is not lost. */
bool wait_queue_wake_one(struct wait_queue *queue)
{
    struct list *node;
    while ((node = list_pop_front(&queue->waiters)))
        if (fiber_resume(list_entry(node, struct waiter, node)->fiber, OK))
            return true;
    return false;
}

void wait_queue_wake_all(struct wait_queue *queue)
{
    while (wait_queue_wake_one(queue))
        ;
}

struct channel {
    struct wait_queue senders, receivers;
    size_t capacity, first, count;
    bool is_closed;
    void *items[]; /* a ring */
};

struct channel *channel_new(size_t capacity)
{
    must(capacity > 0);
    struct channel *channel = malloc(sizeof *channel + capacity * sizeof channel->items[0]);
    if (!channel)
        return NULL;
    *channel = (struct channel){.capacity = capacity};
    wait_queue_init(&channel->senders);
    wait_queue_init(&channel->receivers);
    return channel;
}

void channel_free(struct channel *channel)
{
    if (!channel)
        return;
    must(list_is_empty(&channel->senders.waiters) && list_is_empty(&channel->receivers.waiters));
    free(channel);
}

enum status channel_send(struct channel *channel, void *item, instant deadline)
{
    while (!channel->is_closed && channel->count == channel->capacity) {
        enum status e = wait_queue_wait(&channel->senders, deadline);
        if (e)
            return e;
    }
    if (channel->is_closed)
        return CLOSED;
    channel->items[(channel->first + channel->count++) % channel->capacity] = item;
    wait_queue_wake_one(&channel->receivers);
    return OK;
}

enum status channel_receive(struct channel *channel, instant deadline, void **ret_item)
{
    while (channel->count == 0) {
        if (channel->is_closed)
            return END;
        enum status e = wait_queue_wait(&channel->receivers, deadline);
        if (e)
            return e;
    }
    *ret_item = channel->items[channel->first];
    channel->first = (channel->first + 1) % channel->capacity;
    channel->count--;
    wait_queue_wake_one(&channel->senders);
    return OK;
}

void channel_close(struct channel *channel)
{
    channel->is_closed = true;
    wait_queue_wake_all(&channel->senders);
    wait_queue_wake_all(&channel->receivers);
}
