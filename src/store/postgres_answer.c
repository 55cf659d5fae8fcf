/* Questions to a store as statements, and results as answers. */
#include "run/loop.h"
#include "service/plane.h"
#include "store/postgres_state.h"

#define NUMBER_SIZE   8 /* bytes of an int8 as it goes over the wire, the highest first */
#define VALUES_MAX    4
#define TRIES_MAX     16 /* of an ADD that somebody came between */
#define SWEEP_LEAST   (2 * SECOND)
#define SWEEP_MOST    (6 * SECOND)
#define SWEPT_AT_ONCE 256

/* --- values */

struct values {
    struct postgres_value all[VALUES_MAX];
    char numbers[2][NUMBER_SIZE];
    int count, number_count;
};

static void add_bytes(struct values *values, struct slice bytes)
{
    values->all[values->count++] =
        (struct postgres_value){bytes.data ? bytes.data : "", bytes.size};
}

static void add_number(struct values *values, int64_t number)
{
    char *room = values->numbers[values->number_count++];
    for (int i = 0; i < NUMBER_SIZE; i++)
        room[i] = (char)((uint64_t)number >> (NUMBER_SIZE - 1 - i) * 8);
    values->all[values->count++] = (struct postgres_value){room, NUMBER_SIZE};
}

/* Microseconds, rounded up. */
static void add_ttl(struct values *values, int64_t ttl)
{
    add_number(values, ttl / MICROSECOND + (ttl % MICROSECOND > 0));
}

static bool read_number(const struct postgres_value *value, int64_t *ret_number)
{
    uint64_t number = 0;
    if (!value->data || value->size != NUMBER_SIZE)
        return false;
    for (int i = 0; i < NUMBER_SIZE; i++)
        number = number << 8 | (unsigned char)value->data[i];
    *ret_number = (int64_t)number;
    return true;
}

static struct slice bytes_of(const struct postgres_value *value)
{
    return value->data ? slice_of(value->data, value->size) : SLICE_NONE;
}

/* --- one statement */

static bool put_question(struct postgres_link *link, const struct store_question *question)
{
    struct values values = {.count = 0};
    enum postgres_statement statement = POSTGRES_GET;
    add_bytes(&values, question->key);
    switch (question->verb) {
    case STORE_GET:
    case STORE_RUN:
    case STORE_PUBLISH:
        break;
    case STORE_SET:
    case STORE_ADD:
        statement = question->verb == STORE_SET ? POSTGRES_SET : POSTGRES_ADD;
        add_bytes(&values, question->value);
        add_ttl(&values, question->ttl);
        break;
    case STORE_SWAP:
        statement = question->value.data ? POSTGRES_SWAP : POSTGRES_DROP;
        add_bytes(&values, question->expected);
        if (!question->value.data)
            break;
        add_bytes(&values, question->value);
        add_ttl(&values, question->ttl);
        break;
    case STORE_COUNT:
        statement = POSTGRES_COUNT;
        add_number(&values, question->delta);
        add_ttl(&values, question->ttl);
        break;
    }
    return postgres_put(link, statement, values.all, values.count);
}

static enum status take_there(
    struct store_question *question, const struct postgres_value *value, enum status found)
{
    question->there = arena_copy(question->arena, bytes_of(value));
    return question->there.data ? found : NO_MEMORY;
}

static enum status read_rows(struct store_question *question, const struct postgres_result *rows)
{
    const struct postgres_value *first = &rows->columns[0];
    switch (question->verb) {
    case STORE_GET:
        return rows->count ? take_there(question, first, OK) : NOT_FOUND;
    case STORE_SET:
        return OK;
    case STORE_ADD:
        if (!rows->count)
            return INCOMPLETE; /* somebody came between */
        return first->data ? take_there(question, first, CONFLICT) : OK;
    case STORE_SWAP:
        return rows->count ? OK : CONFLICT;
    case STORE_COUNT:
        return store_read_number(bytes_of(first), &question->results[0]) ? OK : INVALID;
    case STORE_RUN:
    case STORE_PUBLISH:
        break;
    }
    return INVALID;
}

static void take_rows(struct postgres_trip *trip, const struct postgres_result *rows)
{
    struct postgres_call *call = trip->link->call;
    if (call) /* who asked still waits */
        call->result = read_rows(call->question, rows);
}

/* What became of a trip, for who asked. */
static void judge_trip(const struct postgres_trip *trip)
{
    enum status e = *trip->state ? postgres_judge_state(trip->link, trip->state) : OK;
    if (e && trip->link->call)
        trip->link->call->result = e;
}

static instant patience(const struct postgres_link *link)
{
    const struct postgres *postgres = link->seat->postgres;
    return loop_now() + (postgres->timeout > postgres->connect_timeout ? postgres->timeout
                                                                       : postgres->connect_timeout);
}

static enum status carry_out_one(struct postgres_link *link)
{
    struct postgres_trip trip = {.link = link, .take = take_rows};
    enum status e = OK;
    for (int i = 0; !e && link->call && i < TRIES_MAX; i++) {
        link->call->result = STORE_UNAVAILABLE;
        trip.results = 0;
        if (!put_question(link, link->call->question))
            return CLOSED;
        e = postgres_go(&trip, patience(link));
        if (!e)
            judge_trip(&trip);
        if (*trip.state || (link->call && link->call->result != INCOMPLETE))
            break;
    }
    if (link->call && link->call->result == INCOMPLETE)
        link->call->result = STORE_UNAVAILABLE;
    return e;
}

/* --- a script */

struct running {
    struct store_verdict verdict;
    bool has_verdict;
};

/* The row is locked, on the server: so who has asked, and still waits, runs it. */
static void take_cell(struct postgres_trip *trip, const struct postgres_result *rows)
{
    struct running *running = trip->argument;
    struct postgres_call *call = trip->link->call;
    int64_t now;
    if (!call || !read_number(&rows->columns[1], &now))
        return;
    call->result = store_judge(
        call->question, bytes_of(&rows->columns[0]), false, now * MICROSECOND, &running->verdict);
    running->has_verdict = true;
}

static enum status end_transaction(
    struct postgres_link *link, struct postgres_trip *trip, const char *how)
{
    return postgres_put_text(link, how) ? postgres_go(trip, patience(link)) : CLOSED;
}

static enum status write_verdict(
    struct postgres_link *link, const struct store_verdict *verdict, struct postgres_trip *trip)
{
    struct values values = {.count = 0};
    bool is_put = true;
    add_bytes(&values, link->call->question->key);
    if (verdict->change == STORE_WRITE) {
        add_bytes(&values, verdict->value);
        add_ttl(&values, verdict->ttl);
        is_put = postgres_put(link, POSTGRES_WRITE, values.all, values.count);
    } else {
        is_put = postgres_put(link, POSTGRES_REMOVE, values.all, values.count);
    }
    return is_put ? end_transaction(link, trip, "COMMIT") : CLOSED;
}

/* What changes nothing leaves nothing: the row that was locked is as it was. */
static enum status run_and_write(
    struct postgres_link *link, struct running *running, struct postgres_trip *trip)
{
    struct postgres_trip last = {.link = link};
    bool writes = running->has_verdict && link->call && !*trip->state &&
                  running->verdict.change != STORE_KEEP;
    if (!writes)
        return end_transaction(link, &last, "ROLLBACK");
    enum status e = write_verdict(link, &running->verdict, &last);
    if (e || !*last.state)
        return e;
    judge_trip(&last);
    return end_transaction(link, &(struct postgres_trip){.link = link}, "ROLLBACK");
}

static enum status carry_out_script(struct postgres_link *link)
{
    struct running running = {.has_verdict = false};
    struct postgres_trip trip = {
        .link = link, .wanted = 1, .take = take_cell, .argument = &running};
    struct values values = {.count = 0};
    link->call->result = STORE_UNAVAILABLE;
    add_bytes(&values, link->call->question->key);
    if (!postgres_put_text(link, "BEGIN") ||
        !postgres_put(link, POSTGRES_LOCK, values.all, values.count))
        return CLOSED;
    enum status e = postgres_go(&trip, patience(link));
    if (!e) {
        judge_trip(&trip);
        e = run_and_write(link, &running, &trip);
    }
    if (running.has_verdict)
        store_verdict_release(&running.verdict);
    return e;
}

enum status postgres_carry_out(struct postgres_link *link)
{
    const struct postgres_seat *seat = link->seat;
    const struct stores *stores = seat->postgres->stores;
    instant began = loop_now();
    bool is_script = link->call->question->verb == STORE_RUN;
    enum status e = is_script ? carry_out_script(link) : carry_out_one(link);
    if (!e)
        metric_observe(stores->plane->options.shards[seat->worker], stores->postgres_duration,
            loop_now() - began);
    return e;
}

/* --- sweeping */

static void take_swept(struct postgres_trip *trip, const struct postgres_result *rows)
{
    *(long *)trip->argument = rows->count;
}

enum status postgres_sweep(struct postgres_link *link)
{
    const struct postgres *postgres = link->seat->postgres;
    const struct stores *stores = postgres->stores;
    long swept = 0;
    struct postgres_trip trip = {.link = link, .take = take_swept, .argument = &swept};
    struct values values = {.count = 0};
    add_number(&values, postgres->lock);
    if (!postgres_put(link, POSTGRES_SWEEP, values.all, values.count))
        return CLOSED;
    enum status e = postgres_go(&trip, patience(link));
    if (!e && *trip.state)
        (void)postgres_judge_state(link, trip.state);
    metric_add(
        stores->plane->options.shards[link->seat->worker], stores->postgres_swept, (uint64_t)swept);
    bool is_more = !e && swept == SWEPT_AT_ONCE;
    link->sweep_at =
        loop_now() + (is_more ? 0 : random_pause(loop_random(), SWEEP_LEAST, SWEEP_MOST, 2));
    return e;
}

/* --- asking */

static bool can_answer(const struct postgres_link *link, int64_t timeout)
{
    bool is_stalled = link->is_busy && loop_now() - link->since > timeout;
    return link->is_kept && link->state != POSTGRES_DOWN && !is_stalled;
}

static bool has_hope(const struct postgres_seat *seat)
{
    for (unsigned i = 0; i < seat->postgres->connections; i++)
        if (can_answer(&seat->links[i], seat->postgres->timeout))
            return seat->waiting < seat->postgres->pending;
    return false;
}

void postgres_wake_idle(struct postgres_seat *seat)
{
    for (unsigned i = 0; i < seat->postgres->connections; i++)
        if (seat->links[i].is_idle) {
            seat->links[i].is_idle = false;
            fiber_expire(seat->links[i].keeper);
            return;
        }
}

/* Who goes before a connection has taken the call keeps it from being asked. */
static enum status leave(struct postgres_seat *seat, struct postgres_call *call, enum status e)
{
    if (call->link) {
        call->link->call = NULL;
        return e;
    }
    list_remove(&call->node);
    seat->waiting--;
    return e == TIMEOUT ? STORE_UNAVAILABLE : e;
}

static enum status ask_and_wait(struct postgres_seat *seat, struct store_question *question)
{
    struct postgres_call call = {.fiber = fiber_current(), .question = question};
    instant until = clock_sooner(question->deadline, loop_now() + seat->postgres->timeout);
    if (!has_hope(seat))
        return STORE_UNAVAILABLE;
    list_push_back(&seat->line, &call.node);
    seat->waiting++;
    postgres_wake_idle(seat);
    while (!call.is_done) {
        enum status e = fiber_wait(until);
        if (e && !call.is_done)
            return leave(seat, &call, e);
    }
    return call.result;
}

enum status postgres_answer(struct store *store, struct store_question *question)
{
    struct postgres *postgres = (struct postgres *)store;
    enum status e = ask_and_wait(&postgres->seats[question->worker], question);
    stores_count(postgres->stores, &postgres->stores->postgres, question->worker, e);
    return e;
}
