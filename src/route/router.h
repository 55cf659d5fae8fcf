/* The router: from host, method and path to a route. Built once for each snapshot, then read by all
 * workers.
 *
 * Path patterns: "/a/b" exact; "{name}" one segment; "{name:int}" digits only; "{name:regex}" a
 * segment that the pattern matches as a whole; "*" one segment without a name; "**" the rest, also
 * nothing, only at the end. Literal text around one parameter in a segment ("/v{major:int}") is
 * allowed. A parameter never matches an empty segment.
 *
 * The most specific route wins, whatever the order in the file: first by host (exact, then the
 * longest wildcard, then any), then segment by segment from the left: exact, then literal with
 * parameter, int, regex, name or "*", then "**"; then a named method before any (HEAD itself before
 * GET, which takes HEAD too); then the route with more conditions; then an explicit priority
 * between those; and last, where conditions differ and both hold, the one whose text sorts first.
 * Two routes that nothing tells apart are an error that names both.
 *
 * A look-up costs O(length of the path), whatever the number of routes. Only alternatives cost
 * more: where several patterns fit one segment, each may have to be followed; router_build warns
 * when a path could make that many. */
#pragma once

#include "config/expression.h"

struct router;

struct route_rule {
    const struct slice *hosts; /* empty: any; "*.example.com" one or more labels */
    size_t host_count;
    enum http_method methods[METHOD_COUNT]; /* none: any; GET includes HEAD */
    unsigned method_count;
    struct slice other_method; /* a method that has no number ("PURGE"); or empty */
    struct slice path;
    struct place place;            /* where it stands, for messages */
    const struct expression *when; /* condition, or NULL */
    unsigned condition_weight;     /* how many terms `when` has */
    int priority;
    void *route; /* what a match yields: the gateway's; borrowed */
};

/* Checks and builds; complaints (bad patterns, ties: both places) go to the reader's diagnostics.
 * The rules are copied, not what they point at, which must live as long as the reader's arena.
 * INVALID when a rule could not be taken; then there is no router. */
enum status router_build(struct reader *reader, const struct route_rule *rules, size_t count,
    const struct router **ret_router);

/* OK: the route, and x->parameters filled. NO_ROUTE, METHOD_NOT_ALLOWED (`Allow` is added to
 * x->response.fields), NO_MEMORY. A host that no route names falls to routes without host, and so
 * does one whose own routes do not match. */
enum status router_find(const struct router *router, struct exchange *x, void **ret_route);

/* True when a rule names the host, itself or by a wildcard. */
bool router_names(const struct router *router, struct slice host);

/* For `weir explain`: calls `report` for every rule that came near, in the order in which they were
 * given, with why it did not match ("the method is POST", "segment 2 is not a number", "a more
 * specific route matches"). `why` lies in x->arena. */
void router_explain(const struct router *router, struct exchange *x,
    void (*report)(void *argument, const struct route_rule *rule, const char *why), void *argument);
