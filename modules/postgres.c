/* libpq as store/postgres_driver.h wants it. */
#include "store/postgres_driver.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "base/module.h"

#define PARAMETERS_MAX 8
#define BINARY         1

static PGconn *raw(struct postgres_connection *connection)
{
    return (PGconn *)connection;
}

/* What the server says besides is for nobody: libpq would print it. */
static void ignore_notice(void *argument, const PGresult *notice)
{
    (void)argument, (void)notice;
}

/* --- connecting */

static struct postgres_connection *begin(const char *const *names, const char *const *values)
{
    PGconn *connection = PQconnectStartParams(names, values, 0);
    if (connection)
        PQsetNoticeReceiver(connection, ignore_notice, NULL);
    return (struct postgres_connection *)connection;
}

static enum postgres_step go_on(struct postgres_connection *connection)
{
    if (PQstatus(raw(connection)) == CONNECTION_BAD)
        return POSTGRES_FAILED;
    switch (PQconnectPoll(raw(connection))) {
    case PGRES_POLLING_READING:
        return POSTGRES_READS;
    case PGRES_POLLING_WRITING:
        return POSTGRES_WRITES;
    case PGRES_POLLING_OK:
        break;
    case PGRES_POLLING_FAILED:
    case PGRES_POLLING_ACTIVE:
        return POSTGRES_FAILED;
    }
    bool is_ready = !PQsetnonblocking(raw(connection), 1) && PQenterPipelineMode(raw(connection));
    return is_ready ? POSTGRES_DONE : POSTGRES_FAILED;
}

static int descriptor(struct postgres_connection *connection)
{
    return PQsocket(raw(connection));
}

static const char *trouble(struct postgres_connection *connection)
{
    return PQerrorMessage(raw(connection));
}

static void end(struct postgres_connection *connection)
{
    PQfinish(raw(connection));
}

/* --- asking */

static bool prepare(struct postgres_connection *connection, const char *name, const char *sql)
{
    return PQsendPrepare(raw(connection), name, sql, 0, NULL);
}

static bool send(struct postgres_connection *connection, const char *name, const char *sql,
    const struct postgres_value *values, int count)
{
    const char *data[PARAMETERS_MAX];
    int sizes[PARAMETERS_MAX], forms[PARAMETERS_MAX];
    if (count > PARAMETERS_MAX)
        return false;
    for (int i = 0; i < count; i++) {
        data[i] = values[i].data;
        sizes[i] = (int)values[i].size;
        forms[i] = BINARY;
    }
    if (name)
        return PQsendQueryPrepared(raw(connection), name, count, data, sizes, forms, BINARY);
    return PQsendQueryParams(raw(connection), sql, count, NULL, data, sizes, forms, BINARY);
}

static bool sync(struct postgres_connection *connection)
{
    return PQpipelineSync(raw(connection));
}

static enum postgres_step flush(struct postgres_connection *connection)
{
    int left = PQflush(raw(connection));
    return left < 0 ? POSTGRES_FAILED : left ? POSTGRES_WRITES : POSTGRES_DONE;
}

static bool receive(struct postgres_connection *connection)
{
    return PQconsumeInput(raw(connection));
}

/* --- results */

static void take_rows(const PGresult *rows, struct postgres_result *result)
{
    const char *changed = PQcmdTuples((PGresult *)rows);
    result->kind = POSTGRES_ROWS;
    result->count = PQntuples(rows);
    if (PQresultStatus(rows) == PGRES_COMMAND_OK)
        sscanf(changed, "%ld", &result->count);
    for (int i = 0; i < PQnfields(rows) && i < POSTGRES_COLUMNS_MAX && PQntuples(rows); i++)
        if (!PQgetisnull(rows, 0, i))
            result->columns[i] =
                (struct postgres_value){PQgetvalue(rows, 0, i), (size_t)PQgetlength(rows, 0, i)};
}

static void take_error(const PGresult *error, struct postgres_result *result)
{
    const char *state = PQresultErrorField(error, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(error, PG_DIAG_MESSAGE_PRIMARY);
    result->kind = state ? POSTGRES_ERROR : POSTGRES_LOST; /* libpq's own have none */
    snprintf(result->state, sizeof result->state, "%s", state ? state : "");
    result->message = message ? message : PQresultErrorMessage(error);
}

/* Between the results of two statements libpq says that there are no more of the first. */
static void next(struct postgres_connection *connection, struct postgres_result *ret_result)
{
    PGresult *taken = NULL;
    *ret_result = (struct postgres_result){.kind = POSTGRES_NOT_YET};
    for (int i = 0; i < 2 && !taken; i++) {
        if (PQisBusy(raw(connection)))
            return;
        taken = PQgetResult(raw(connection));
    }
    if (!taken) {
        ret_result->kind =
            PQstatus(raw(connection)) == CONNECTION_OK ? POSTGRES_NOT_YET : POSTGRES_LOST;
        return;
    }
    ret_result->handle = taken;
    switch ((int)PQresultStatus(taken)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        take_rows(taken, ret_result);
        break;
    case PGRES_PIPELINE_SYNC:
        ret_result->kind = POSTGRES_SYNC;
        break;
    case PGRES_PIPELINE_ABORTED:
        ret_result->kind = POSTGRES_SKIPPED;
        break;
    default:
        take_error(taken, ret_result);
        break;
    }
}

static void release(struct postgres_result *result)
{
    PQclear(result->handle);
}

/* --- the module */

static void about(char *text, size_t size)
{
    int version = PQlibVersion();
    snprintf(text, size, "libpq %d.%d", version / 10000, version % 10000);
}

static const struct postgres_driver driver = {.begin = begin,
    .connect = go_on,
    .descriptor = descriptor,
    .trouble = trouble,
    .close = end,
    .prepare = prepare,
    .send = send,
    .sync = sync,
    .flush = flush,
    .read = receive,
    .next = next,
    .release = release};

MODULE_SYMBOL const struct weir_module weir_module = {
    POSTGRES_DRIVER_ABI, "postgres", about, &driver};
