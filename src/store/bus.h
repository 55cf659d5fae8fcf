/* The bus: messages on their way to this process' listeners (store.h). One for all stores of the
 * process; a store's messages are heard by its own listeners alone. For this floor alone.
 *
 * Any thread says something; it is heard on the control thread, where the listeners are. What is on
 * its way is bounded: beyond that the newest is lost, and all listeners are told to begin anew. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "run/mailbox.h"
#include "store/store.h"

#define STORE_BUS_MESSAGES_MAX 4096
#define STORE_BUS_BYTES_MAX    ((size_t)4 << 20)

/* What calls the control thread; it outlives a bus that goes while it is on its way. */
struct store_bell;

struct store_bus {
    struct loop *loop;       /* the control thread's; NULL: nobody is to hear anything */
    struct list listeners;   /* struct store_listener; of the control thread */
    struct store_bell *bell; /* owned, as long as it is not on its way */
    _Atomic uint64_t heard;  /* messages that somebody listened to */
    _Atomic uint64_t lost;
    pthread_mutex_t mutex; /* of what follows; held to link and to unlink */
    struct list queue;
    size_t count, bytes;
    bool is_called; /* the bell is on its way */
    bool has_lost;  /* something, since listeners were told */
};

/* On the control thread. NO_MEMORY. */
enum status store_bus_init(struct store_bus *bus, struct loop *loop);

/* The same; nobody says anything any more. */
void store_bus_release(struct store_bus *bus);

/* On the control thread: somebody listens; whether anybody does. */
void store_bus_add(struct store_bus *bus, struct store_listener *listener);
bool store_bus_has(const struct store_bus *bus, const struct store *store, struct slice channel);

/* From any thread: a message of that store. */
void store_bus_say(
    struct store_bus *bus, const struct store *store, struct slice channel, struct slice message);

/* From any thread: what is said to that store from now on will come. */
void store_bus_begin(struct store_bus *bus, const struct store *store, struct slice channel);
