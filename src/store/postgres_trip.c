/* Statements out, results back: one round trip. */
#include "base/must.h"
#include "run/descriptor.h"
#include "run/loop.h"
#include "store/postgres_state.h"

#include <stdio.h>

bool postgres_put(struct postgres_link *link, enum postgres_statement statement,
    const struct postgres_value *values, int count)
{
    return link->seat->postgres->driver->send(
        link->connection, postgres_statement_name(statement), NULL, values, count);
}

bool postgres_put_text(struct postgres_link *link, const char *sql)
{
    return link->seat->postgres->driver->send(link->connection, NULL, sql, NULL, 0);
}

/* --- results */

static void take_one(struct postgres_trip *trip, const struct postgres_result *result)
{
    unsigned number = trip->results++;
    if (result->kind == POSTGRES_ERROR && !*trip->state) {
        memcpy(trip->state, result->state, sizeof trip->state);
        postgres_complain(trip->link->seat->postgres, result->message);
    }
    if (result->kind == POSTGRES_ROWS && number == trip->wanted && trip->take)
        trip->take(trip, result);
}

/* All that are here. OK: that of the sync was among them. */
static enum status take_results(struct postgres_trip *trip)
{
    const struct postgres_driver *driver = trip->link->seat->postgres->driver;
    for (;;) {
        struct postgres_result result;
        driver->next(trip->link->connection, &result);
        enum postgres_kind kind = result.kind;
        if (kind != POSTGRES_NOT_YET && kind != POSTGRES_SYNC && kind != POSTGRES_LOST)
            take_one(trip, &result);
        driver->release(&result);
        if (kind == POSTGRES_NOT_YET)
            return INCOMPLETE;
        if (kind == POSTGRES_SYNC)
            return OK;
        if (kind == POSTGRES_LOST)
            return CLOSED;
    }
}

/* --- the wire */

static enum status lose(struct postgres_trip *trip)
{
    const struct postgres *postgres = trip->link->seat->postgres;
    if (!*trip->state)
        postgres_complain(
            trip->link->seat->postgres, postgres->driver->trouble(trip->link->connection));
    return CLOSED;
}

/* What the server said last is read even when it has closed then. */
static enum status read_some(struct postgres_trip *trip)
{
    const struct postgres_driver *driver = trip->link->seat->postgres->driver;
    bool is_there = driver->read(trip->link->connection);
    enum status e = take_results(trip);
    return e == INCOMPLETE && !is_there ? CLOSED : e;
}

static enum status go(struct postgres_trip *trip, instant deadline)
{
    const struct postgres_driver *driver = trip->link->seat->postgres->driver;
    struct postgres_connection *connection = trip->link->connection;
    bool is_sent = false;
    enum status e = INCOMPLETE;
    while (e == INCOMPLETE) {
        enum postgres_step step = is_sent ? POSTGRES_DONE : driver->flush(connection);
        is_sent = step == POSTGRES_DONE;
        if (step == POSTGRES_FAILED) {
            e = read_some(trip);
            e = e == INCOMPLETE ? CLOSED : e;
            break;
        }
        int descriptor = driver->descriptor(connection);
        e = is_sent ? descriptor_wait_readable(descriptor, deadline)
                    : descriptor_wait_writable(descriptor, deadline);
        if (!e)
            e = is_sent ? read_some(trip) : INCOMPLETE;
    }
    return e;
}

enum status postgres_go(struct postgres_trip *trip, instant deadline)
{
    struct postgres_link *link = trip->link;
    if (!link->seat->postgres->driver->sync(link->connection))
        return lose(trip);
    enum status e = go(trip, deadline);
    if (e == TIMEOUT)
        postgres_complain(link->seat->postgres, "it does not answer");
    else if (e && e != CANCELLED)
        return lose(trip);
    link->was_good = link->was_good || !e;
    return e;
}

/* --- errors */

static bool is_of(const char *state, const char *class)
{
    return strncmp(state, class, strlen(class)) == 0;
}

/* The classes of SQLSTATE. In 22 is what cannot be done with what is there. Of 40 (conflicts with
 * others), 53 (no room, no memory), 55 (locked) and of a statement that took too long, another try
 * may have more luck; what is left no try on this connection has: a table that is gone, rights that
 * are missing, a server that only reads. */
enum status postgres_judge_state(struct postgres_link *link, const char *state)
{
    if (is_of(state, "22"))
        return INVALID;
    link->is_unfit = link->is_unfit || !(is_of(state, "40") || is_of(state, "53") ||
                                           is_of(state, "55") || is_of(state, "57014"));
    return STORE_UNAVAILABLE;
}
