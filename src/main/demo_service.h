/* The demo's services: four small HTTP servers with a little state, on loopback, in a thread of
 * their own. They exist so that the gateway has something real in front of it; each can be made
 * slow or faulty:
 *
 *     PUT /NAME/_switch?latency=300ms&fail=20%25
 */
#pragma once

#include "gateway/server.h"
#include "run/socket.h"

struct demo_service;

/* One resource: answers a request below "/NAME". */
typedef enum status demo_serve(struct demo_service *service, struct exchange *x);

#define DEMO_ITEMS_MAX 64

struct demo_item {
    uint64_t id;
    char text[256]; /* a JSON object's members behind the id */
};

struct demo_service {
    struct server server; /* first */
    const char *name;
    struct entrance entrance;
    demo_serve *serve;
    int descriptor;
    uint16_t port;
    struct acceptor *acceptor;
    int64_t latency; /* nanoseconds before each answer */
    double failing;  /* share of requests that get a 500 */
    uint64_t requests;
    struct demo_item items[DEMO_ITEMS_MAX]; /* the newest; older ones are forgotten */
    uint64_t last_id;
};

struct demo;

/* Starts the services; each port is the one wanted, or one that the kernel picks when that is
 * taken. */
enum status demo_start(struct demo **ret_demo);
void demo_stop(struct demo *demo);

/* By name: "users", "orders", "payments", "cart", "page". */
uint16_t demo_port(const struct demo *demo, const char *name);
