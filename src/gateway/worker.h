/* Workers: the threads that serve. Each owns a loop, the connections that it accepted, its part of
 * the pools, its shard of the metrics and its ring of the access log; it shares with the others
 * only what design.md §6 lists.
 *
 * The control thread speaks to a worker by orders, carried out in turn on the worker's own thread,
 * each answered by a message. */
#pragma once

#include <pthread.h>
#include <semaphore.h>

#include "gateway/access_log.h"
#include "gateway/handshakes.h"
#include "gateway/listener.h"
#include "gateway/request_metrics.h"
#include "gateway/server.h"
#include "gateway/snapshot.h"
#include "l4/tcp.h"
#include "l4/udp.h"
#include "run/loop.h"
#include "run/mailbox.h"
#include "store/stores.h"

struct worker {
    struct server server; /* first: server_ops get a pointer to it */
    struct tcp_server tcp;
    struct udp_server udp;
    unsigned index;
    unsigned count; /* of workers */
    pthread_t thread;
    sem_t may_end;               /* nobody posts to the loop any more: it may be freed */
    struct loop *loop;           /* owned by the thread */
    struct snapshot *snapshot;   /* current; entered */
    struct access_log *log;      /* borrowed from the gateway */
    struct metrics *metrics;     /* borrowed */
    struct metrics_shard *shard; /* borrowed from the metrics */
    struct service_plane *plane; /* borrowed, as the next */
    struct stores *stores;
    struct acme_answers *answers; /* borrowed from the foundation */
    struct share_group *group;    /* borrowed: who has how many connections */
    struct share_member *member;  /* this worker in it */
    struct list doors;            /* the listeners that it watches */
    struct list entrances;        /* owned: those of all that it ever watched */
    struct request_metrics requests;
    struct handshakes handshakes;
    struct wait_queue changed; /* a connection has ended */
};

/* What a worker is told. One at a time; the sender keeps it until `done` has been delivered on its
 * own loop. */
struct order {
    struct message message; /* to the worker */
    struct message reply;   /* back */
    struct loop *sender;
    struct worker *worker;
    void (*carry_out)(struct order *order);
    void (*done)(struct order *order); /* on the sender's loop */

    struct snapshot *snapshot; /* the one to use from now on, or NULL */
    struct access_log *log;    /* from now on, if `has_log` */
    bool has_log;
    struct listener *const *open; /* to watch; ends with NULL, or NULL */
    struct listener *const *shut; /* not to watch any more; the same */
    bool drains;                  /* the last to leave the `shut` ones: takes what waits there */
    instant deadline;             /* of a stop */
    bool is_patient;              /* of a stop, or already before it: see
                                     server_drain_patiently */
    enum status result;
};

/* Starts the thread and waits until its loop stands. */
enum status worker_start(struct worker *worker, const struct loop_options *options);

/* Sends an order. */
void worker_order(struct worker *worker, struct order *order);

/* Orders to carry out. */
void worker_update(struct order *order); /* snapshot, log, listeners */
void worker_stop(struct order *order);   /* drains until the deadline, then cuts, then ends the
                                            thread's loop; its listeners are shut by then */

/* A connection that the worker got from an acceptor has ended. */
void worker_connection_closed(struct worker *worker);

/* After a stop: the thread has ended. */
void worker_join(struct worker *worker);
