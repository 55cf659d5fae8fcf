/* Handing the listening sockets over to a process that replaces this one. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "gateway/acme_follow.h"
#include "gateway/gateway_state.h"
#include "service/order.h"

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

#define ORDER_NOTES 64   /* beyond, orders are lost: that is thousands of endpoints */
#define ORDER_BYTES 4000 /* of a note, which is one message */

static struct slice order_note_name(char *room, size_t size, int number)
{
    struct text name = text_fixed(room, size);
    text_format(&name, "orders of operators %d", number);
    return text_slice(&name);
}

/* As many whole lines as one note holds. */
static struct slice take_lines(struct slice *rest)
{
    size_t size = rest->size < ORDER_BYTES ? rest->size : ORDER_BYTES;
    while (size > 0 && rest->data[size - 1] != '\n')
        size--;
    struct slice lines = slice_head(*rest, size);
    *rest = slice_from(*rest, size);
    return lines;
}

/* Who is drained stays so. */
static enum status offer_orders(const struct gateway *gateway, struct inheritance *offer)
{
    char room[40];
    struct text text = text_growing(0);
    orders_save(gateway->foundation.plane, &text);
    struct slice rest = text_slice(&text), lines;
    enum status e = text.failed ? NO_MEMORY : OK;
    for (int i = 0; !e && i < ORDER_NOTES && (lines = take_lines(&rest)).size; i++)
        e = inheritance_note(offer, order_note_name(room, sizeof room, i), lines);
    text_release(&text);
    return e;
}

void gateway_restore_orders(struct gateway *gateway)
{
    char room[40];
    for (int i = 0; i < ORDER_NOTES; i++)
        orders_restore(gateway->foundation.plane,
            inheritance_noted(gateway->inheritance, order_note_name(room, sizeof room, i)));
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
    if (!e)
        e = offer_orders(gateway, offer);
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
