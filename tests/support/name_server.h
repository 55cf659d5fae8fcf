/* A DNS server of a test's own, on a thread, at a port of 127.0.0.1 that the kernel picks.
 *
 *     struct name_server server = {.answer = answer_with_one, .context = &address};
 *     name_server_start(&server);
 *     assert_ok(resolver_use_servers(resolver, slice_of_text(server.where)));
 *     name_server_stop(&server);
 */
#pragma once

#include <pthread.h>

#include "support/unit.h"

enum { NAME_A = 1, NAME_AAAA = 28 }; /* types of records */

/* What a reply says beside its records. */
enum { NAME_SERVER_FAILED = 2, NAME_MISSING = 3 };

/* The question, and what is to be answered: nothing yet. */
struct name_reply {
    unsigned type;       /* of the records that are asked for */
    const char *label;   /* the name's first, not terminated: the next one's length follows */
    unsigned char *code; /* NAME_MISSING and the like; 0: well */
    unsigned char bytes[512];
    size_t size;
};

struct name_server {
    /* On the server's thread: adds what it answers. False: it stays silent. */
    bool (*answer)(void *context, struct name_reply *reply);
    void *context;
    char where[32]; /* "127.0.0.1:4711" */
    pthread_t thread;
    int descriptor;
};

void name_server_start(struct name_server *server);
void name_server_stop(struct name_server *server);

/* A record for the name that was asked for. `ttl` in seconds. */
void name_reply_add(struct name_reply *reply, unsigned char type, unsigned char ttl,
    const void *data, unsigned char size);

/* An IPv4 address, in the host's order, with a TTL of 0. */
void name_reply_add_address(struct name_reply *reply, uint32_t address);
