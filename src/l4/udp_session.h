/* One UDP session, for the files of UDP alone. */
#pragma once

#include "base/table.h"
#include "l4/udp.h"
#include "run/io.h"
#include "run/timer.h"
#include "service/dial.h"

/* Who sends, from which port, to which address of ours. */
#define UDP_KEY_SIZE 34

#define UDP_IDS_MAX  4 /* connection ids that a session goes by */

struct udp_gate {
    struct udp_server *server;
    struct io io; /* the listener's descriptor, which is not ours */
    const struct udp_rules *rules;
    void *pinned;
    struct list sessions; /* owned: who has been silent longest comes first */
    struct table by_address;
    struct table by_id;  /* connection ids */
    uint32_t id_sizes;   /* a bit for each size that one of them has */
    struct timer expiry; /* of the first */
    uint32_t open;
};

struct udp_session {
    struct list node; /* in the gate's */
    struct udp_gate *gate;
    const struct udp_rules *rules; /* since it began */
    void *pinned;
    struct io io; /* the socket to the endpoint, owned */
    struct datagram client;
    instant last;
    bool has_reply; /* since the endpoint was chosen */
    struct dial dial;
    struct l4_facts facts;
    char key[UDP_KEY_SIZE];
    struct {
        uint8_t size;
        char bytes[20];
    } ids[UDP_IDS_MAX];
    unsigned id_count;
};

/* True when a datagram came from the same client to the same address. */
bool udp_session_is_of(const struct udp_session *session, const struct datagram *from);

/* The session of a datagram that came in; a new one if it needs one. NULL: it cannot have any. */
struct udp_session *udp_session_of(
    struct udp_gate *gate, const struct datagram *from, struct slice bytes);

/* It lives: bytes have passed. */
void udp_session_touch(struct udp_session *session);

/* Its endpoint does not listen: another one. False when there is none: the session has ended. */
bool udp_session_move(struct udp_session *session);

/* From now on a connection id is the session's. */
void udp_session_learn(struct udp_session *session, struct slice id);

void udp_session_end(struct udp_session *session, enum status reason);

/* --- udp.c: what a session's socket has received */
void udp_answered(void *argument, unsigned ready);
