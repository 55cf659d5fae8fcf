/* The inside of redis.h, for this floor alone. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "run/tls.h"
#include "store/bus.h"
#include "store/presence.h"
#include "store/redis_cluster.h"
#include "store/redis.h"
#include "store/resp.h"
#include "store/store_ops.h"

enum redis_state { REDIS_CONNECTING, REDIS_UP, REDIS_DOWN };

#define REDIS_TROUBLE_SIZE 160

/* Scripts of our own. */
enum redis_program { REDIS_ADD, REDIS_SWAP, REDIS_COUNT, REDIS_PRESENCE, REDIS_PROGRAMS };

/* The worker that does what a gateway needs once. */
#define REDIS_SPOKESMAN 0

/* A worker's place. */
struct redis_seat {
    _Alignas(64) struct redis_link *link; /* owned by its keeper; NULL: none */
    struct redis_nodes *nodes;            /* owned; NULL: it is no cluster */
    struct redis *redis;
    unsigned worker;
    struct message farewell; /* the store is not used any more */
    _Atomic int state;       /* enum redis_state; written by the worker */
};

/* A server to connect to. All texts are of the store's arena. */
struct redis_place {
    struct slice shown; /* "10.0.0.5:6379", for people */
    struct slice host;  /* to be resolved, with `port`; empty: `address` is it */
    uint16_t port;
    struct address address;
    struct slice tls_name;
    bool is_sentinel;
};

/* Who we are to a server; no password: nobody in particular. */
struct redis_identity {
    struct slice user, password;
};

struct redis {
    struct store store;    /* first */
    struct stores *stores; /* borrowed */
    struct list node;      /* in the stores' list */
    struct arena arena;    /* owns all texts */
    struct slice shown;    /* for people: the server, or "master shop" */
    struct redis_place server;
    struct redis_place *sentinels; /* that say where the server is */
    size_t sentinel_count;         /* 0: it is `server` */
    bool is_cluster;               /* they are no Sentinels but nodes of it */
    _Atomic size_t sentinel_first; /* which of them answered last */
    struct slice tls_name;         /* that of all servers, by option; or empty */
    struct tls_client *tls;        /* counted; NULL: in clear */
    struct redis_identity server_identity, sentinel_identity;
    struct tls_client *sentinel_tls; /* counted; NULL: Sentinels are asked in clear */
    struct slice prefix, master;
    int64_t database, timeout, connect_timeout;
    uint32_t pending;
    unsigned workers;
    struct store_program programs[REDIS_PROGRAMS];
    struct redis_seat *seats; /* owned; one a worker */
    struct redis_link *ear;   /* of the first worker, owned by its keeper; NULL: nobody listens */
    _Atomic int ear_state;    /* enum redis_state */
    bool counts_gateways;     /* else the option says how many there are */
    bool is_present;          /* of the spokesman, as what follows: it has begun to say so */
    bool is_left;             /* it is to end, also when it has not begun */
    struct fiber *spokesman;  /* NULL: it does not run */
    struct presence presence;
    _Atomic unsigned holders; /* the control thread, and workers that have not let go of it */
    pthread_mutex_t mutex;    /* of what follows: rare */
    char trouble[REDIS_TROUBLE_SIZE]; /* why the newest connection failed */
    char current[ADDRESS_TEXT_MAX];   /* where the Sentinels said it is */
    struct list channels;             /* owned: struct redis_channel, what is listened to */
    bool is_told; /* of the control thread: the operator knows that it is away */
};

/* A command whose answer is waited for; of a fiber that waits on its stack. */
struct redis_call {
    struct fiber *fiber; /* NULL: none waits */
    /* Takes what it needs of the answer, on the keeper's fiber. What it returns is the call's
     * result. */
    enum status (*answer)(struct redis_call *call, struct slice reply);
    enum status result;
    bool is_done;
};

/* What has been asked and not been answered. */
struct redis_waiting {
    struct redis_call *call; /* NULL: nobody waits any more */
    instant since;
};

/* One connection, or the attempt to have one. */
struct redis_link {
    struct redis *redis;             /* borrowed */
    struct redis_link **home;        /* whose link it is: NULL there when it ends */
    const struct redis_place *place; /* a certain node's; NULL: where the server is */
    enum redis_state state;
    unsigned worker;
    struct fiber *keeper, *writer; /* the latter while it has nothing to write, or NULL */
    struct stream *stream;         /* owned by the keeper; NULL: none */
    struct text out, sending, in;  /* owned */
    struct redis_waiting *waiting; /* owned ring of redis->pending */
    uint64_t asked, answered;      /* commands */
    enum status broken;            /* the writer has failed */
    bool is_version_3;
    bool is_over;         /* the keeper is to end, also when it has not begun */
    struct arena scratch; /* while it is being made */
};

/* How many workers' connections are in that state. From any thread. */
unsigned redis_count(const struct redis *redis, enum redis_state state);

/* Tells the operator when it has gone or come back. On the control thread. */
void redis_tell(struct redis *redis);

/* One holder fewer; the last frees it. From any thread. */
void redis_let_go(struct redis *redis);

/* Notes why it cannot be used, in words. */
void redis_complain(struct redis *redis, struct slice why);

/* --- redis_link.c */

/* NULL: no memory. */
struct redis_link *redis_link_new(
    struct redis *redis, unsigned worker, const struct redis_place *place);
void redis_link_free(struct redis_link *link);

/* Sends a command and waits for its answer. Statuses of store.h. */
enum status redis_ask(struct redis_link *link, const struct slice *words, size_t count,
    struct redis_call *call, instant deadline);

/* The same for an answer that no fiber waits for: call->is_done says when it has come. `call` may
 * be NULL. False when nothing was sent. */
bool redis_send(
    struct redis_link *link, const struct slice *words, size_t count, struct redis_call *call);

/* The same of a command that is not answered in turn. */
bool redis_write(struct redis_link *link, const struct slice *words, size_t count);

/* Speaks on a connection that stands, until it ends; says why. */
enum status redis_converse(struct redis_link *link);

/* All who wait are told that there is no answer. */
void redis_link_fail(struct redis_link *link);

/* --- redis_connect.c */

/* A connection on which the server knows us. */
enum status redis_connect(struct redis_link *link, struct stream **ret_stream);

/* --- redis_greet.c */

#define REDIS_GREETING_MAX ((size_t)16 << 10) /* bytes of an answer to it */

/* The first words on a connection, each answered before the next. Tells what goes wrong. */
struct redis_greeting {
    struct redis_link *link;
    struct stream *stream;
    instant deadline;
    char answer[REDIS_GREETING_MAX];
    struct resp_token token; /* of the newest answer, in `answer`, and what comes behind it */
    struct slice rest;
};

/* Says something and reads the answer, which has to be a good one: REFUSED. */
enum status redis_insist(struct redis_greeting *greeting, const struct slice *words, size_t count);

/* Says who we are to one who is to answer questions alone. REFUSED. */
enum status redis_greet_sentinel(struct redis_greeting *greeting);

/* Says who we are to a server that is to take commands. REFUSED when it does not want to, or is a
 * replica. */
enum status redis_greet(struct redis_greeting *greeting);

/* --- redis_answer.c */

/* As store_ops wants it. */
enum status redis_answer(struct store *store, struct store_question *question);

/* The same of a question that no request has: no metric counts it. */
enum status redis_answer_uncounted(struct redis *redis, struct store_question *question);

/* The words of a command for a key. */
#define REDIS_KEY_ROOM    512
#define REDIS_NUMBER_ROOM 24
struct redis_command {
    char key[REDIS_KEY_ROOM];
    char numbers[STORE_ARGUMENTS_MAX][REDIS_NUMBER_ROOM];
    unsigned number_count;
    struct slice key_word; /* in `key` */
    struct slice words[STORE_ARGUMENTS_MAX + 4];
    size_t count;
    const struct store_program *program; /* NULL: it is none */
};

/* A question whose reply is waited for. */
struct redis_asking {
    struct redis_call call; /* first */
    struct store_question *question;
    bool is_unknown;    /* the server has to be told the script first */
    bool is_redirected; /* by a node of a cluster; as follows */
    bool is_ask;
    unsigned slot;
    uint16_t port;
    char host[REDIS_HOST_MAX + 1];
};

/* Asks one server; with `is_ask` for a slot that moves there. Statuses of store.h. */
enum status redis_command_ask(struct redis_link *link, struct redis_command *command,
    struct redis_asking *asking, bool is_ask, instant deadline);

/* False when there is no memory. */
bool redis_programs_init(struct store_program programs[REDIS_PROGRAMS]);

/* --- redis_keep.c */

/* Begins to keep a connection of a worker's at *home, which is NULL. On its thread. */
void redis_keep(struct redis_link **home, struct redis_seat *seat, const struct redis_place *place);

/* The same to end it; *home is NULL when the keeper has ended. NULL is fine. */
void redis_keep_no_more(struct redis_link *link);

static inline bool redis_is_ear(const struct redis_link *link)
{
    return link->home == &link->redis->ear;
}

/* --- redis_listen.c */

/* As store_ops wants it. */
enum status redis_listen(struct store *store, struct slice name, bool is_wanted);
void redis_listen_release(struct redis *redis);

/* On a new connection: what is listened to. */
void redis_listen_begin(struct redis_link *link);

/* Takes what the server says by itself. NOT_FOUND: it is the answer to something. CLOSED: it does
 * not let us listen. */
enum status redis_hear(struct redis_link *link, struct slice reply);

/* --- redis_presence.c */

/* Begins to count gateways, if they are to be counted; again is harmless. On the spokesman's
 * thread, as its end. */
void redis_presence_begin(struct redis *redis);
void redis_presence_end(struct redis *redis);

/* --- redis_nodes.c */

struct redis_nodes *redis_nodes_new(struct redis_seat *seat); /* NULL: no memory; freed by free() */
void redis_nodes_leave(struct redis_nodes *nodes);            /* closes their connections */

/* Asks the master that has the key, wherever that is. */
enum status redis_nodes_ask(struct redis_nodes *nodes, struct redis_command *command,
    struct redis_asking *asking, instant deadline);
