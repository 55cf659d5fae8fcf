/* A small world around one policy or handler: what it is configured with, one exchange, and
 * something behind it that answers.
 *
 *     struct world *world = world_new();
 *     world_policy(world, &limit_policy, "limits.login", "{rate: 5/min, burst: 10}");
 *     world_request(world, "GET", "/login?x=1");
 *     assert_ok(world_serve(world));
 *     assert_int_equal(world->x.response.status, 200);
 *     world_free(world);
 */
#pragma once

#include "handler/handler.h"
#include "policy/policy.h"
#include "store/memory.h"

#define WORLD_FIELDS_MAX 16

/* What stands behind a policy. It notes what it was asked and answers as told. */
struct next_fake {
    /* Told by the test. */
    enum status outcome;
    int status; /* 0: 200 */
    struct {
        const char *name, *value;
    } fields[WORLD_FIELDS_MAX];
    const char *body, *type; /* NULL: text/plain */
    bool reads_body;         /* reads the request's body first, and fails as that does */

    /* Noted. */
    unsigned calls;
    char path[256], query[256], host[256];
    size_t received; /* bytes of the request's body */
};

struct world {
    struct arena arena; /* owned: the snapshot's */
    struct diagnostics diagnostics;
    struct reader reader;
    struct registry *registry; /* owned */
    struct metrics *metrics;   /* owned */
    struct metrics_shard *shards[1];
    struct memory *memory; /* owned: the store that policies find */
    struct prepare prepare;
    const struct policy_type *policy; /* one of these two */
    const struct handler_type *handler;
    void *config;
    struct exchange x;
    struct body no_body;
    struct body_slice body;
    struct next_fake next;
    struct text text; /* owned */
};

struct world *world_new(void);
void world_free(struct world *world);

/* Reads the YAML text `value` by a table into a struct in the world's arena; fails the test when
 * something is wrong with it. */
void *world_read(struct world *world, const struct option_table *table, const char *value);

/* What is said about a value that is wrong; fails the test when nothing is. Until the next call. */
const char *world_complaints(
    struct world *world, const struct option_table *table, const char *value);

/* Values that are wrong, each with words of what is said about it; `value` NULL ends the list. */
struct world_wrong {
    const char *value, *complaint;
};
void world_all_wrong(
    struct world *world, const struct option_table *table, const struct world_wrong *wrong);

/* Reads and prepares: what world_serve then serves with. */
void world_policy(
    struct world *world, const struct policy_type *type, const char *name, const char *value);
void world_handler(struct world *world, const struct handler_type *type, const char *value);

/* Begins a new exchange, from 192.0.2.1 for host "shop.example". `target` is a path with or without
 * a query. */
void world_request(struct world *world, const char *method, const char *target);
void world_field(struct world *world, const char *name, const char *value);
void world_client(struct world *world, const char *address);
void world_body(struct world *world, const char *bytes, bool is_length_known);

enum status world_serve(struct world *world);

/* Of the answer: all values of a field joined by ", ", "" when there is none; its whole body. */
const char *world_answer_field(struct world *world, const char *name);
const char *world_answer_body(struct world *world);

/* Of a series as it is exported, "weir_x_total{limit=\"a\"}", its value; -1: there is none. */
long world_metric(struct world *world, const char *series);

/* What `explain` says. */
const char *world_explain(struct world *world);
