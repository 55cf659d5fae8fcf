/* The router: from host, method and path to a route. Built once for each snapshot, then read by all workers.
 *
 * Path patterns: "/a/b" exact; "{name}" one segment; "{name:int}" digits only; "{name:regex}" a segment that the pattern matches as a whole; "*" one segment
 * without a name; "**" the rest, also nothing, only at the end. Literal text around a parameter in one segment ("/v{major:int}") is allowed.
 *
 * The most specific route wins, whatever the order in the file: first by host (exact, then the longest wildcard, then any), then segment by segment from the
 * left: exact, then literal with parameter, int, regex, name or "*", then "**"; then a named method before any; then the route with more conditions; then an explicit
 * priority between those. Two routes that nothing tells apart are an error that names both.
 *
 * A look-up costs O(length of the path), whatever the number of routes. */
#pragma once

#include "config/expression.h"

struct router;

/* A condition besides the path: header, query parameter or cookie present, equal to a text or matching a pattern; or any expression. */
struct route_condition {
    const struct expression *expression; /* true: holds */
};

struct route_rule {
    const struct slice *hosts;       /* empty: any; "*.example.com" one or more labels */
    size_t host_count;
    enum http_method methods[METHOD_COUNT]; /* none: any; GET includes HEAD */
    unsigned method_count;
    struct slice other_method;       /* a method that has no number ("PURGE"); or empty */
    struct slice path;
    struct place place;              /* where it stands, for messages */
    const struct expression *when;   /* condition, or NULL */
    unsigned condition_weight;       /* how many terms `when` has */
    int priority;
    void *route;                     /* what a match yields: the gateway's; borrowed */
};

/* Checks and builds; complaints (bad patterns, ties: both places) go to the reader's diagnostics. */
enum status router_build(struct reader *reader, const struct route_rule *rules, size_t count,
    const struct router **ret_router);

/* OK: the route, and x->parameters filled. NO_ROUTE, METHOD_NOT_ALLOWED (`Allow` is added to x->response.fields), MISDIRECTED is
 * not used here: a host that no route names falls to routes without host. */
enum status router_find(const struct router *router, struct exchange *x, void **ret_route);

/* For `weir explain`: calls `report` for every rule that came near, with why it did not match ("method is POST", "condition header.x-canary is false"). */
void router_explain(const struct router *router, struct exchange *x,
    void (*report)(void *argument, const struct route_rule *rule, const char *why), void *argument);
