/* Handing the listening sockets over to a process that replaces this one. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "gateway/acme_follow.h"
#include "gateway/gateway_state.h"
#include "service/instances.h"
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

/* What was told to this process alone. A successor takes it over before it reads its configuration;
 * what is longer than a note goes in several. */
static const struct {
    const char *name;
    void (*save)(struct service_plane *plane, struct text *text);
    void (*restore)(struct service_plane *plane, struct slice text);
} knowledge[] = {{"orders of operators", orders_save, orders_restore},
    {"registered instances", instances_save, instances_restore}};

#define KNOWLEDGE_COUNT (sizeof knowledge / sizeof *knowledge)
#define NOTES_MAX       1024 /* of each; what is beyond is lost: that is many thousands of endpoints */
#define NOTE_BYTES      4000 /* of a note, which is one message */

static struct slice note_name(char *room, size_t size, const char *name, int number)
{
    struct text text = text_fixed(room, size);
    text_format(&text, "%s %d", name, number);
    return text_slice(&text);
}

static enum status offer_knowledge(
    const struct gateway *gateway, size_t which, struct inheritance *offer)
{
    char room[40];
    struct text text = text_growing((size_t)NOTES_MAX * NOTE_BYTES);
    knowledge[which].save(gateway->foundation.plane, &text);
    struct slice rest = text_slice(&text);
    enum status e = OK;
    for (int i = 0; !e && rest.size; i++) {
        struct slice name = note_name(room, sizeof room, knowledge[which].name, i);
        e = inheritance_note(offer, name, slice_head(rest, NOTE_BYTES));
        rest = slice_from(rest, NOTE_BYTES);
    }
    text_release(&text);
    return e;
}

static enum status offer_all_knowledge(const struct gateway *gateway, struct inheritance *offer)
{
    enum status e = OK;
    for (size_t i = 0; !e && i < KNOWLEDGE_COUNT; i++)
        e = offer_knowledge(gateway, i, offer);
    return e;
}

static void restore_knowledge(struct gateway *gateway, size_t which)
{
    char room[40];
    struct slice note = SLICE("");
    for (int i = 0; i < NOTES_MAX && note.data; i++) {
        note = inheritance_noted(
            gateway->inheritance, note_name(room, sizeof room, knowledge[which].name, i));
        knowledge[which].restore(gateway->foundation.plane, note);
    }
}

void gateway_restore_knowledge(struct gateway *gateway)
{
    for (size_t i = 0; i < KNOWLEDGE_COUNT; i++)
        restore_knowledge(gateway, i);
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
        e = offer_all_knowledge(gateway, offer);
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
