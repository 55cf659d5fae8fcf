#include "policy/limit_table.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "policy/limit_instants.h"
#include "policy/limit_records.h"

struct limit_table {
    bool is_by_calendar;
    instant begin;
    _Atomic instant looked;          /* at the wall clock */
    _Atomic int64_t ahead;           /* by so much it was then ahead of the monotonic one */
    struct limit_instants *instants; /* owned; one of these two */
    struct limit_records *records;   /* owned */
};

enum status limit_table_new(const struct limit_algorithm *algorithm, size_t keys, size_t words,
    struct limit_table **ret_table)
{
    struct limit_table *table = calloc(1, sizeof *table);
    if (!table)
        return NO_MEMORY;
    table->is_by_calendar = algorithm->is_by_calendar;
    table->begin = clock_now();
    table->looked = table->begin;
    table->ahead = clock_wall() - table->begin;
    enum status e = algorithm->is_instant
                        ? limit_instants_new(algorithm, keys, &table->instants)
                        : limit_records_new(algorithm, keys, words, &table->records);
    if (e)
        free(table);
    else
        *ret_table = table;
    return e;
}

void limit_table_free(struct limit_table *table)
{
    if (!table)
        return;
    limit_instants_free(table->instants);
    limit_records_free(table->records);
    free(table);
}

/* The wall clock is looked at once a second: it may be set, but costs more than the instant that is
 * known. */
static int64_t wall_time_of(struct limit_table *table, instant now)
{
    instant looked = atomic_load_explicit(&table->looked, memory_order_relaxed);
    if (now - looked > SECOND) {
        atomic_store_explicit(&table->ahead, clock_wall() - clock_now(), memory_order_relaxed);
        atomic_store_explicit(&table->looked, now, memory_order_relaxed);
    }
    return now + atomic_load_explicit(&table->ahead, memory_order_relaxed);
}

/* From 1, since 0 is the time of a record that nobody has used. */
static int64_t time_of(struct limit_table *table, instant now)
{
    if (table->is_by_calendar)
        return wall_time_of(table, now);
    return now > table->begin ? now - table->begin + 1 : 1;
}

struct limit_decision limit_table_take(struct limit_table *table, struct slice key,
    const struct limit_rule *rule, int64_t cost, instant now)
{
    int64_t time = time_of(table, now);
    return table->instants ? limit_instants_take(table->instants, key, rule, cost, time)
                           : limit_records_take(table->records, key, rule, cost, time);
}

void limit_table_settle(struct limit_table *table, struct slice key, const struct limit_rule *rule,
    int64_t difference, int64_t at, instant now)
{
    int64_t time = time_of(table, now);
    if (table->instants)
        limit_instants_settle(table->instants, key, rule, difference, at, time);
    else
        limit_records_settle(table->records, key, rule, difference, at, time);
}

struct limit_decision limit_table_look(struct limit_table *table, struct slice key,
    const struct limit_rule *rule, int64_t cost, instant now)
{
    int64_t time = time_of(table, now);
    return table->instants ? limit_instants_look(table->instants, key, rule, cost, time)
                           : limit_records_look(table->records, key, rule, cost, time);
}
