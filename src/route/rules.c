#include "route/rules.h"

#include <stdlib.h>

enum method_match rule_match_method(
    const struct route_rule *rule, enum http_method method, struct slice method_text)
{
    if (!rule_names_method(rule))
        return METHOD_ANY;
    if (method == METHOD_OTHER)
        return rule->other_method.size && slice_equal(rule->other_method, method_text)
                   ? METHOD_NAMED
                   : METHOD_NONE;
    enum method_match match = METHOD_NONE;
    for (unsigned i = 0; i < rule->method_count; i++) {
        if (rule->methods[i] == method)
            return METHOD_NAMED;
        if (rule->methods[i] == METHOD_GET && method == METHOD_HEAD)
            match = METHOD_IMPLIED;
    }
    return match;
}

static struct slice condition_text(const struct route_rule *rule)
{
    return rule->when ? expression_source(rule->when) : SLICE_NONE;
}

/* The order of two rules with the same path; 0: nothing but their methods can tell them apart. */
static int compare_rules(const struct route_rule *a, const struct route_rule *b)
{
    if (rule_names_method(a) != rule_names_method(b))
        return rule_names_method(a) ? -1 : 1;
    if (a->condition_weight != b->condition_weight)
        return a->condition_weight > b->condition_weight ? -1 : 1;
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    return slice_compare(condition_text(a), condition_text(b));
}

static int compare_placements(const void *left, const void *right, void *argument)
{
    const struct placement *a = left, *b = right;
    const struct rule *rules = argument;
    if (a->leaf != b->leaf)
        return a->leaf < b->leaf ? -1 : 1;
    int order = compare_rules(&rules[a->rule].given, &rules[b->rule].given);
    if (order == 0 && a->rule != b->rule)
        order = a->rule < b->rule ? -1 : 1;
    return order;
}

static bool share_a_method(const struct route_rule *a, const struct route_rule *b)
{
    if (!rule_names_method(a))
        return true; /* then b names none either: they compare as equal */
    if (a->other_method.size && slice_equal(a->other_method, b->other_method))
        return true;
    for (unsigned i = 0; i < a->method_count; i++)
        for (unsigned j = 0; j < b->method_count; j++)
            if (a->methods[i] == b->methods[j])
                return true;
    return false;
}

static void complain_tie(struct reader *reader, struct rule *rule, const struct rule *other)
{
    if (rule->is_tied)
        return;
    rule->is_tied = true;
    diagnostics_error(reader->diagnostics, rule->given.place,
        SLICE("give one of them a condition or a priority"),
        "nothing tells two routes apart: both are for \"%.*s\"",
        SLICE_ARG(slice_head(rule->given.path, 200)));
    diagnostics_relate(reader->diagnostics, other->given.place, "the other route is here");
}

/* Takes the placements of one leaf, which are sorted, into `leaf`; those that repeat a rule or tie
 * are left out. */
static void fill_leaf(struct reader *reader, struct rule *rules, const struct placement *placements,
    size_t count, struct leaves *leaves, struct leaf *leaf)
{
    uint32_t group = leaf->first; /* where the rules begin that compare as equal */
    for (size_t i = 0; i < count; i++) {
        struct rule *rule = &rules[placements[i].rule];
        uint32_t end = leaf->first + leaf->count;
        if (end > group && compare_rules(&rules[leaves->entries[group]].given, &rule->given) != 0)
            group = end;
        bool is_new = true;
        for (uint32_t j = group; is_new && j < end; j++) {
            struct rule *other = &rules[leaves->entries[j]];
            is_new = other != rule && !share_a_method(&other->given, &rule->given);
            if (!is_new && other != rule)
                complain_tie(reader, rule, other);
        }
        if (is_new)
            leaves->entries[leaf->first + leaf->count++] = placements[i].rule;
    }
}

enum status leaves_build(struct reader *reader, struct rule *rules, struct placement *placements,
    size_t count, uint32_t leaf_count, struct leaves *ret_leaves)
{
    struct leaves leaves = {
        .items = arena_array(reader->arena, leaf_count, sizeof *leaves.items),
        .entries = arena_array(reader->arena, count + 1, sizeof *leaves.entries),
    };
    if (!leaves.items || !leaves.entries)
        return NO_MEMORY;
    if (count > 0)
        qsort_r(placements, count, sizeof *placements, compare_placements, rules);
    uint32_t used = 0;
    for (size_t begin = 0, end; begin < count; begin = end) {
        end = begin + 1;
        while (end < count && placements[end].leaf == placements[begin].leaf)
            end++;
        struct leaf *leaf = &leaves.items[placements[begin].leaf];
        leaf->first = used;
        fill_leaf(reader, rules, placements + begin, end - begin, &leaves, leaf);
        used += leaf->count;
    }
    *ret_leaves = leaves;
    return OK;
}
