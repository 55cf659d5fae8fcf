/* The inside of postgres.h, for this floor alone. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "run/mailbox.h"
#include "store/postgres.h"
#include "store/postgres_driver.h"
#include "store/store_ops.h"

enum postgres_state { POSTGRES_CONNECTING, POSTGRES_UP, POSTGRES_DOWN };

#define POSTGRES_TROUBLE_SIZE 240

/* Statements that the server prepares for each connection. */
enum postgres_statement {
    POSTGRES_GET, /* first: it tells whether the table is there */
    POSTGRES_SET,
    POSTGRES_ADD,
    POSTGRES_SWAP,
    POSTGRES_DROP,
    POSTGRES_COUNT,
    POSTGRES_LOCK,
    POSTGRES_WRITE,
    POSTGRES_REMOVE,
    POSTGRES_SWEEP,
    POSTGRES_STATEMENTS
};

/* A question whose answer is waited for; of a fiber that waits, on its stack. */
struct postgres_call {
    struct list node; /* in the seat's line, until a connection takes it */
    struct fiber *fiber;
    struct store_question *question;
    struct postgres_link *link; /* that has taken it; NULL: none */
    enum status result;
    bool is_done;
};

/* One connection, or the attempt to have one. Of a worker, but for `shown`. */
struct postgres_link {
    struct postgres_seat *seat;
    struct fiber *keeper; /* NULL: none runs */
    enum postgres_state state;
    _Atomic int shown; /* the same, for other threads */
    struct postgres_connection *connection;
    struct postgres_call *call; /* NULL: nobody waits, or not any more */
    bool is_kept;               /* a keeper runs, or will */
    bool is_idle;               /* the keeper waits for a call */
    bool is_busy;               /* an answer is missing, since: */
    instant since;
    bool is_unfit;        /* it is to be made anew, or the server is none to write to */
    bool was_good;        /* something was answered */
    instant sweep_at;     /* NEVER: another one sweeps */
    struct arena scratch; /* while it is being made */
};

/* A worker's place. */
struct postgres_seat {
    _Alignas(64) struct postgres *postgres;
    unsigned worker;
    bool is_over;     /* nobody has the store any more */
    struct list line; /* of struct postgres_call */
    int64_t waiting;
    struct postgres_link *links; /* owned */
    struct message farewell;     /* the store is not used any more */
};

struct postgres {
    struct store store;    /* first */
    struct stores *stores; /* borrowed */
    const struct postgres_driver *driver;
    struct list node;   /* in the stores' list */
    struct arena arena; /* owns all texts */
    struct slice shown; /* for people: the server, and the database */
    struct slice name;  /* to be resolved; empty: `host` is it */
    const char *host;   /* an IP address, or the folder of a unix socket */
    bool is_ip;
    const char *port, *user, *password, *database;
    const char *sslmode, *sslrootcert, *sslcert, *sslkey;
    struct slice table; /* quoted; as what follows */
    struct slice index;
    const char *sql[POSTGRES_STATEMENTS];
    int64_t timeout, connect_timeout, pending;
    int64_t lock; /* of advisory locks: a digest of the table */
    unsigned workers, connections;
    struct postgres_seat *seats;         /* owned; one a worker */
    _Atomic unsigned holders;            /* the control thread, and keepers that have not ended */
    pthread_mutex_t mutex;               /* of what follows: rare */
    char trouble[POSTGRES_TROUBLE_SIZE]; /* why the newest connection failed */
    bool is_told; /* of the control thread: the operator knows that it is away */
};

/* --- postgres.c */

/* How many connections are in that state. From any thread. */
unsigned postgres_count(const struct postgres *postgres, enum postgres_state state);

/* Tells the operator when it has gone or come back. On the control thread. */
void postgres_tell(struct postgres *postgres);
struct postgres *postgres_of_node(struct list *node);

/* One holder fewer; the last frees it. From any thread. */
void postgres_let_go(struct postgres *postgres);

/* Notes why it cannot be used, in words. */
void postgres_complain(struct postgres *postgres, const char *why);

/* --- postgres_sql.c */

/* The texts of all statements, of the store's arena. False: no memory. */
bool postgres_write_statements(struct postgres *postgres);

/* By which name the server knows it. */
const char *postgres_statement_name(enum postgres_statement statement);

/* Makes the table, if there is none: statements that are one step, ended by NULL. In the arena;
 * NULL: no memory. */
const char *const *postgres_table_statements(const struct postgres *postgres, struct arena *arena);

/* --- postgres_trip.c */

/* Statements that have gone out together, up to a sync, and what came back. */
struct postgres_trip {
    struct postgres_link *link;
    unsigned wanted; /* the rows of which of them are taken, by: */
    void (*take)(struct postgres_trip *trip, const struct postgres_result *rows); /* or NULL */
    void *argument;
    unsigned results;
    char state[POSTGRES_STATE_SIZE]; /* SQLSTATE of what went wrong; empty: nothing */
};

/* Puts one of the statements down, and "BEGIN" or the like. False: the connection is lost. */
bool postgres_put(struct postgres_link *link, enum postgres_statement statement,
    const struct postgres_value *values, int count);
bool postgres_put_text(struct postgres_link *link, const char *sql);

/* Ends what was put down, sends it, and reads all that comes back, until the deadline. A failure is
 * the connection's: it is unknown what was done. */
enum status postgres_go(struct postgres_trip *trip, instant deadline);

/* What an error of the server's means to who asked, and for the connection. Nothing was done. */
enum status postgres_judge_state(struct postgres_link *link, const char *state);

/* --- postgres_connect.c */

/* A connection at link->connection, on which the server knows our statements. */
enum status postgres_connect(struct postgres_link *link);

/* --- postgres_keep.c */

/* Begins to keep a worker's connections, and ends it; again is harmless. On its thread. */
void postgres_keep(struct postgres_seat *seat);
void postgres_keep_no_more(struct postgres_seat *seat);

/* --- postgres_answer.c */

/* As store_ops wants it. */
enum status postgres_answer(struct store *store, struct store_question *question);

/* One connection that waits for a call, if any does, is to look at the line. */
void postgres_wake_idle(struct postgres_seat *seat);

/* Carries out a call that the link has taken. A failure is the connection's. */
enum status postgres_carry_out(struct postgres_link *link);

/* Takes out rows that have ended, if it is our turn, and says when to do it again. */
enum status postgres_sweep(struct postgres_link *link);
