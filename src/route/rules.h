/* Rules as the router keeps them, and which of them end at the same leaf.
 *
 * The rules of a leaf have the same path, so what orders them is the rest: a named method before
 * any, more conditions before fewer, a greater priority before a smaller; and, between different
 * conditions that all this does not tell apart, their text, so that the order in the file never
 * decides. Where even that is the same and both can meet one method, they tie: an error. */
#pragma once

#include "route/path_pattern.h"
#include "route/router.h"

/* A parameter to be kept: the text of which parametric segment, counted from 0, and its name. */
struct rule_parameter {
    struct slice name;
    unsigned capture;
};

struct rule {
    struct route_rule given;
    struct path_pattern path;
    struct rule_parameter *parameters; /* in the snapshot's arena */
    unsigned parameter_count;
    bool is_tied; /* has been complained about */
};

/* A rule at its leaf: what a look-up needs of it, in one cache line. The entries of a leaf lie one
 * after the other, in the order in which they win. */
struct rule_entry {
    void *route;
    const struct expression *when; /* or NULL */
    const struct rule *rule;
    uint32_t methods; /* a bit for each named one; 0: any */
    bool is_last;     /* of its leaf */
    uint8_t parameter_count;
    struct rule_parameter first; /* the first parameter; others are with the rule */
} __attribute__((aligned(64)));

/* While a router is being built: a rule at a leaf. */
struct placement {
    uint32_t leaf, rule;
};

/* Sorts `placements` and makes entries of them, from number 1 on; `first_entries` has room for
 * `leaf_count` numbers and gets for each leaf that of its first. Ties are complained about. */
enum status rules_arrange(struct reader *reader, struct rule *rules, struct placement *placements,
    size_t count, uint32_t *first_entries, struct rule_entry **ret_entries);

/* How a rule takes a method: by its name, as GET takes HEAD, as one of any, or not at all. In this
 * order they win. */
enum method_match { METHOD_NAMED, METHOD_IMPLIED, METHOD_ANY, METHOD_NONE };
enum method_match rule_match_method(
    const struct route_rule *rule, enum http_method method, struct slice method_text);

static inline bool rule_names_method(const struct route_rule *rule)
{
    return rule->method_count > 0 || rule->other_method.size > 0;
}

static inline bool rule_condition_holds(const struct expression *when, struct exchange *x)
{
    return !when || expression_is_true(when, x);
}
