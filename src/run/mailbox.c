#include "run/mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/must.h"
#include "run/loop_core.h"

#define BATCH 256 /* messages a round, so that posters cannot keep a loop from its descriptors */

/* The bell is edge-triggered and so need not be read: each ring is an arrival of its own. */
static void rung(void *argument, unsigned ready)
{
    (void)argument, (void)ready;
}

enum status mailbox_init(struct mailbox *mailbox)
{
    atomic_init(&mailbox->posted, NULL);
    atomic_init(&mailbox->sleeping, false);
    mailbox->taken = NULL;
    int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bell < 0)
        return IO_ERROR;
    enum status e = io_watch(&mailbox->bell, bell, IO_READ | IO_EDGE, rung, NULL);
    if (e)
        close(bell);
    return e;
}

void mailbox_release(struct mailbox *mailbox)
{
    int bell = mailbox->bell.descriptor;
    io_remove(&mailbox->bell);
    close(bell);
}

void mailbox_post(struct loop *loop, struct message *message)
{
    struct mailbox *mailbox = &loop->mailbox;
    message->next = atomic_load_explicit(&mailbox->posted, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&mailbox->posted, &message->next, message))
        ;
    if (atomic_load(&mailbox->sleeping) && atomic_exchange(&mailbox->sleeping, false)) {
        uint64_t one = 1;
        must(write(mailbox->bell.descriptor, &one, sizeof one) == sizeof one);
    }
}

/* All that is posted, oldest first. */
static struct message *take_all(struct mailbox *mailbox)
{
    if (!atomic_load_explicit(&mailbox->posted, memory_order_relaxed))
        return NULL;
    struct message *newest = atomic_exchange(&mailbox->posted, NULL);
    struct message *taken = NULL;
    while (newest) {
        struct message *older = newest->next;
        newest->next = taken;
        taken = newest;
        newest = older;
    }
    return taken;
}

void mailbox_deliver(struct mailbox *mailbox)
{
    for (int i = 0; i < BATCH; i++) {
        if (!mailbox->taken && !(mailbox->taken = take_all(mailbox)))
            return;
        struct message *message = mailbox->taken;
        mailbox->taken = message->next;
        message->deliver(message);
    }
}

bool mailbox_is_empty(struct mailbox *mailbox)
{
    return !mailbox->taken && !atomic_load(&mailbox->posted);
}

/* The two sequentially consistent steps, "sleeping" and then the look at what is posted, stand
 * against the poster's push and look at "sleeping": one of the two sees the other. */
bool mailbox_fall_asleep(struct mailbox *mailbox)
{
    atomic_store(&mailbox->sleeping, true);
    if (mailbox_is_empty(mailbox))
        return true;
    mailbox_wake_up(mailbox);
    return false;
}

void mailbox_wake_up(struct mailbox *mailbox)
{
    atomic_store_explicit(&mailbox->sleeping, false, memory_order_relaxed);
}
