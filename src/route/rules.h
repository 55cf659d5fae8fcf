/* Rules as the router keeps them, and which of them end at the same leaf.
 *
 * The rules of a leaf have the same path, so what orders them is the rest: a named method before
 * any, more conditions before fewer, a greater priority before a smaller; and, between different
 * conditions that all this does not tell apart, their text, so that the order in the file never
 * decides. Where even that is the same and both can meet one method, they tie: an error. */
#pragma once

#include "route/path_pattern.h"
#include "route/router.h"

struct rule {
    struct route_rule given;
    struct path_pattern path;
    bool is_tied; /* has been complained about */
};

struct leaf {
    uint32_t first, count; /* in the entries */
};

struct leaves {
    struct leaf *items; /* in the snapshot's arena, by the trie's numbers */
    uint32_t *entries;  /* numbers of rules */
};

/* While a router is being built: a rule at a leaf. */
struct placement {
    uint32_t leaf, rule;
};

/* Sorts `placements` and makes leaves 1 to `leaf_count` - 1 of them. Ties are complained about. */
enum status leaves_build(struct reader *reader, struct rule *rules, struct placement *placements,
    size_t count, uint32_t leaf_count, struct leaves *ret_leaves);

/* How a rule takes a method: by its name, as GET takes HEAD, as one of any, or not at all. In this
 * order they win. */
enum method_match { METHOD_NAMED, METHOD_IMPLIED, METHOD_ANY, METHOD_NONE };
enum method_match rule_match_method(
    const struct route_rule *rule, enum http_method method, struct slice method_text);

static inline bool rule_names_method(const struct route_rule *rule)
{
    return rule->method_count > 0 || rule->other_method.size > 0;
}

static inline bool rule_condition_holds(const struct route_rule *rule, struct exchange *x)
{
    return !rule->when || expression_is_true(rule->when, x);
}
