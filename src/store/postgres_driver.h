/* What the module weir-postgres is to the store on a PostgreSQL server (store/postgres.h): libpq's
 * connections, none of whose calls here waits, in its pipeline mode. Statements go out together up
 * to a *sync*; their results come back in turn, and then that of the sync. Without a transaction of
 * their own, what stands between two syncs is one.
 *
 * All of a connection is called by one thread at a time. Texts end with NUL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Changes with every change below. */
#define POSTGRES_DRIVER_ABI 1

struct postgres_connection; /* the library's */

enum postgres_step {
    POSTGRES_DONE,
    POSTGRES_READS,  /* to be called again when the descriptor can be read */
    POSTGRES_WRITES, /* ... or written */
    POSTGRES_FAILED  /* for ever; `trouble` says why */
};

/* Bytes in and out are PostgreSQL's binary forms; null data: NULL. */
struct postgres_value {
    const char *data;
    size_t size;
};

#define POSTGRES_COLUMNS_MAX 2
#define POSTGRES_STATE_SIZE  6

enum postgres_kind {
    POSTGRES_NOT_YET, /* nothing is here: read more */
    POSTGRES_ROWS,    /* a statement was carried out */
    POSTGRES_ERROR,   /* it was not */
    POSTGRES_SKIPPED, /* nor this one: one before it was not */
    POSTGRES_SYNC,
    POSTGRES_LOST /* the connection */
};

struct postgres_result {
    enum postgres_kind kind;
    /* ROWS: how many rows there are, or were changed, and the first one of the former. */
    long count;
    struct postgres_value columns[POSTGRES_COLUMNS_MAX];
    /* ERROR: SQLSTATE, and for people. */
    char state[POSTGRES_STATE_SIZE];
    const char *message;
    void *handle; /* the library's, until `release` */
};

struct postgres_driver {
    /* Begins to connect; both lists end with NULL. NULL: no memory. */
    struct postgres_connection *(*begin)(const char *const *names, const char *const *values);
    /* Goes on with that. DONE: it stands, and is in pipeline mode. */
    enum postgres_step (*connect)(struct postgres_connection *connection);
    /* To wait for; may change with each call of `connect`. */
    int (*descriptor)(struct postgres_connection *connection);
    const char *(*trouble)(struct postgres_connection *connection);
    void (*close)(struct postgres_connection *connection);

    /* Each puts something at the end of what is to be sent; false: it has failed for ever. `name`
     * is a prepared statement's, or NULL for one whose text is `sql`. */
    bool (*prepare)(struct postgres_connection *connection, const char *name, const char *sql);
    bool (*send)(struct postgres_connection *connection, const char *name, const char *sql,
        const struct postgres_value *values, int count);
    bool (*sync)(struct postgres_connection *connection);

    /* Sends what can be sent. WRITES: there is more; read, too. */
    enum postgres_step (*flush)(struct postgres_connection *connection);
    /* Reads what has come; false: the connection is lost. */
    bool (*read)(struct postgres_connection *connection);
    /* The next result; to be released. */
    void (*next)(struct postgres_connection *connection, struct postgres_result *ret_result);
    void (*release)(struct postgres_result *result);
};
