/* Policies: what changes a request or an answer, or decides that there is none. One file a policy,
 * listed in policies.def, whose order of lines is the order in which they run, always.
 *
 *     enum status serve(const void *config, struct exchange *x, const struct handler *next)
 *     {
 *         ... look at or change x->request; return a failure to refuse ...
 *         enum status e = handler_serve(next, x);
 *         ... look at or change x->response ...
 *         return e;
 *     }
 *
 * On a route a policy is written under its name (`limit: 60/min`); with a name of its own, at the
 * top of the file under its plural (`limits: {login: 5/min}`), and a route refers to it by `use:
 * [limits.login]`. */
#pragma once

#include "base/metrics.h"
#include "base/registry.h"
#include "config/option.h"
#include "http/exchange.h"
#include "store/store.h"

struct service_plane;

/* What a policy or handler may use while it is prepared. All borrowed. */
struct prepare {
    struct reader *reader;     /* arena of the snapshot, diagnostics */
    struct registry *registry; /* runtime state that survives reloads */
    struct metrics *metrics;
    struct metrics_shard *const *shards; /* one a worker: index by x->worker */
    unsigned workers;
    struct store_choice stores;  /* what requests, workers and gateways remember together */
    struct service_plane *plane; /* loops, resolvers, authorities; without workers in commands that
                                    only look at a file; NULL in some tests */
    struct slice name; /* "limits.login", or "limit of GET /x" for one written on a route: unique in
                          the file */
    struct place place;
    const struct service *(*find_service)(
        struct prepare *prepare, struct slice name); /* NULL: there is none */
    struct slice (*similar_service)(
        struct prepare *prepare, struct slice name); /* the name most like it; empty: none is */
    /* The service at an address ("https://id.example"), which all who ask for that one share; it is
     * in no list that routes choose from. INVALID after a complaint about what is wrong with the
     * address, NO_MEMORY. */
    enum status (*obtain_service)(struct prepare *prepare, struct slice address, struct place place,
        const struct service **ret_service);
    /* What a route does that has this key with that value (`respond: …`), without policies. INVALID
     * after a complaint, NO_MEMORY. */
    enum status (*make_handler)(struct prepare *prepare, struct slice key, const struct node *value,
        struct handler *ret_handler);
    void *loader;
};

/* Finds the service of a name; INVALID after a complaint that offers the one most like it. */
enum status prepare_find_service(struct prepare *prepare, struct slice name, struct place place,
    const struct service **ret_service);

/* What is made of a file that is watched (service/watched_file.h), for as long as the snapshot;
 * INVALID after a complaint about the file, NO_MEMORY. */
struct watched_file;
struct watched_kind;
enum status prepare_watched_file(struct prepare *prepare, const struct watched_kind *kind,
    struct place place, struct slice path, struct watched_file **ret_file);

struct policy_type {
    const char *name;   /* the key on a route: "limit" */
    const char *plural; /* the key at the top: "limits" */
    bool admits; /* says who is let through, and nothing else: forward proxies can use it too */
    const struct option_table *options;
    /* Once, on the control thread, after the options were read. Complains through the reader. NULL:
     * nothing to do. */
    enum status (*prepare)(struct prepare *prepare, void *config);
    enum status (*serve)(const void *config, struct exchange *x, const struct handler *next);
    /* Whether nobody gets past it of whom nothing is known: for `deny-by-default`. NULL: no. */
    bool (*guards)(const void *config);
    /* The i-th request that the policy answers itself, which a route with it has to lead to; false:
     * there are no more. NULL: there are none. */
    bool (*own_path)(
        const void *config, size_t i, enum http_method *ret_method, struct slice *ret_path);
    /* For `weir explain`: what it would do, as a short text; may look at the request only. NULL:
     * only its name is shown. */
    void (*explain)(const void *config, struct exchange *x, struct text *text);
};

/* All of policies.def in order, ends with NULL. */
extern const struct policy_type *const policy_types[];

/* The type of that name or plural, or NULL. */
const struct policy_type *policy_type_of(struct slice name);
const struct policy_type *policy_type_of_plural(struct slice plural);

/* One in a chain: makes a handler of a policy and the one behind it. */
struct policy_link {
    const struct policy_type *type;
    const void *config; /* borrowed from the snapshot */
    struct handler next;
};
struct handler policy_handler(const struct policy_link *link);

/* The policy that a handler in a chain is, with what is behind it; NULL: it is the end. */
const struct policy_link *policy_link_of(const struct handler *handler);
