/* Handlers: what answers a request. One file a handler, listed in handlers.def. On a route a
 * handler is the key that says what the route does (`to: user`, `redirect: …`, `respond: …`,
 * `files: …`); exactly one. */
#pragma once

#include "policy/policy.h"

struct handler_type {
    const char *name; /* the key on a route: "to" */
    const struct option_table *options;
    enum status (*prepare)(struct prepare *prepare, void *config);
    enum status (*serve)(const void *config, struct exchange *x);
    /* The service it calls, for logs, `explain` and `test`; NULL hook or NULL: none. */
    const struct service *(*service)(const void *config);
    void (*explain)(const void *config, struct exchange *x, struct text *text); /* or NULL */
};

/* All of handlers.def, ends with NULL. */
extern const struct handler_type *const handler_types[];

const struct handler_type *handler_type_of(struct slice name);
