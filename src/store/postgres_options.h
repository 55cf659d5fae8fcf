/* `postgres:` at the top of the file: the PostgreSQL server that gateways share things through. */
#pragma once

#include "config/option.h"
#include "service/service_options.h"

struct postgres_options {
    bool is_set;
    struct slice at;
    struct slice user, password, database;
    struct slice table; /* "weir_store", "schema.table" */
    int sslmode;        /* an index of postgres_sslmodes */
    struct slice sslrootcert, sslcert, sslkey;
    int64_t timeout;         /* nanoseconds that a request waits for an answer, at most */
    int64_t connect_timeout; /* of a connection: name, TCP, TLS, password, and the table */
    int64_t connections;     /* of a worker */
    int64_t pending;         /* questions of a worker that may wait for one of them */
    int64_t gateways;        /* that share the server */
    struct place place, at_place, table_place, ssl_place;

    /* Made when they are checked. */
    struct endpoint_place server;
};

extern const struct option_table postgres_table;
extern const char *const postgres_sslmodes[];

/* Takes "postgres://user:password@host:5432/database?sslmode=require" apart, "postgresql://",
 * "host:5432", "host", "unix:/run/postgresql"; what it does not say stays as it is. INVALID with a
 * static text that says what is wrong and holds no secret; NO_MEMORY. */
enum status postgres_options_parse(struct arena *arena, struct slice text,
    struct postgres_options *options, const char **ret_problem);
