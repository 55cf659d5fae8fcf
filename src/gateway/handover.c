/* Handing the listening sockets over to a process that replaces this one. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "gateway/acme_follow.h"
#include "gateway/gateway_state.h"

/* What the service manager passed goes on whole, also what no listener uses at present. */
static enum status offer_managed(const struct gateway *gateway, struct inheritance *offer)
{
    for (size_t i = 0; i < inheritance_count(gateway->inheritance); i++) {
        const struct inherited *item = inheritance_at(gateway->inheritance, i);
        if (!item->is_managed)
            continue;
        int copy = fcntl(item->descriptor, F_DUPFD_CLOEXEC, 3);
        enum status e = copy < 0 ? IO_ERROR : inheritance_add(offer, item->name, true, copy);
        if (e)
            return e;
    }
    return OK;
}

#define TICKETS SLICE("tls tickets")

/* Sessions go on with the successor. */
static enum status offer_tickets(const struct gateway *gateway, struct inheritance *offer)
{
    unsigned char bytes[TLS_TICKETS_BYTES_MAX];
    size_t size = tls_tickets_save(gateway->foundation.tickets, bytes);
    enum status e = inheritance_note(offer, TICKETS, slice_of((const char *)bytes, size));
    explicit_bzero(bytes, sizeof bytes);
    return e;
}

void gateway_restore(struct gateway *gateway)
{
    struct slice bytes = inheritance_noted(gateway->inheritance, TICKETS);
    if (bytes.size) /* of another version, they may look otherwise: then sessions begin anew */
        (void)tls_tickets_restore(gateway->foundation.tickets, bytes);
}

enum status gateway_offer_sockets(const struct gateway *gateway, struct inheritance *offer)
{
    enum status e = offer_managed(gateway, offer);
    for (struct listener *const *l = gateway->listeners; !e && *l; l++)
        e = listener_offer(*l, offer);
    return e ? e : offer_tickets(gateway, offer);
}

/* Moves the taken ones to `taken`; both end with NULL. */
static void part_listeners(
    struct listener **listeners, const struct inheritance *offer, struct listener **taken)
{
    struct listener **kept = listeners;
    for (; *listeners; listeners++)
        if (listener_is_taken(*listeners, offer))
            *taken++ = *listeners;
        else
            *kept++ = *listeners;
    *kept = NULL;
    *taken = NULL;
}

/* Who waits at one that the successor has is the successor's. */
static void leave_taken(struct gateway *gateway, struct listener **taken)
{
    struct order order = {.carry_out = worker_update, .shut = taken, .is_patient = true};
    (void)gateway_order_all(gateway, &order); /* without memory for it the old goes on accepting */
    for (; *taken; taken++) {
        (*taken)->is_inherited = true;
        listener_close(*taken);
    }
}

static size_t count_listeners(const struct gateway *gateway)
{
    size_t count = 0;
    while (gateway->listeners[count])
        count++;
    return count;
}

void gateway_hand_over(struct gateway *gateway, const struct inheritance *offer)
{
    fiber_shield();
    gateway->is_draining = true;
    while (gateway->is_reloading)
        (void)wait_queue_wait(&gateway->turn, NEVER);
    acme_unfollow(gateway); /* the other goes on with it */
    struct listener **taken = calloc(count_listeners(gateway) + 1, sizeof *taken);
    if (taken) {
        part_listeners(gateway->listeners, offer, taken);
        leave_taken(gateway, taken);
        free(taken);
    }
    (void)gateway_shut_listeners(gateway, gateway->listeners, NULL);
    gateway->listeners[0] = NULL;
    gateway->is_replaced = true;
    fiber_unshield();
}

void gateway_set_lineage(struct gateway *gateway, const struct gateway_lineage *lineage)
{
    gateway->lineage = *lineage;
}

const struct gateway_lineage *gateway_lineage(const struct gateway *gateway)
{
    return &gateway->lineage;
}
