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

static uint32_t method_bits(const struct route_rule *rule)
{
    uint32_t bits = rule->other_method.size ? 1u << METHOD_OTHER : 0;
    for (unsigned i = 0; i < rule->method_count; i++)
        bits |= 1u << rule->methods[i];
    return bits;
}

static struct rule_entry entry_of(const struct rule *rule)
{
    struct rule_entry entry = {
        .route = rule->given.route,
        .when = rule->given.when,
        .rule = rule,
        .methods = method_bits(&rule->given),
        .parameter_count = (uint8_t)rule->parameter_count,
    };
    if (rule->parameter_count > 0)
        entry.first = rule->parameters[0];
    return entry;
}

/* Where the rule ties with one of those from `from` on, which compare as equal to it: that one, or
 * the rule itself when it is there already. */
static const struct rule *find_rival(
    const struct rule *rule, const struct rule_entry *from, const struct rule_entry *end)
{
    for (; from < end; from++)
        if (from->rule == rule || share_a_method(&from->rule->given, &rule->given))
            return from->rule;
    return NULL;
}

/* The entries of one leaf, whose placements are sorted; those that repeat a rule or tie are left
 * out. */
static uint32_t fill_leaf(struct reader *reader, struct rule *rules,
    const struct placement *placements, size_t count, struct rule_entry *entries)
{
    uint32_t used = 0, group = 0; /* where the rules begin that compare as equal */
    for (size_t i = 0; i < count; i++) {
        struct rule *rule = &rules[placements[i].rule];
        if (used > group && compare_rules(&entries[group].rule->given, &rule->given) != 0)
            group = used;
        const struct rule *rival = find_rival(rule, entries + group, entries + used);
        if (!rival)
            entries[used++] = entry_of(rule);
        else if (rival != rule)
            complain_tie(reader, rule, rival);
    }
    entries[used - 1].is_last = true;
    return used;
}

static struct rule_entry *make_entries(struct arena *arena, size_t count)
{
    size_t line = _Alignof(struct rule_entry);
    char *room = arena_array(arena, count + 1, sizeof(struct rule_entry));
    return room ? (struct rule_entry *)(((uintptr_t)room + line - 1) & ~(uintptr_t)(line - 1))
                : NULL;
}

enum status rules_arrange(struct reader *reader, struct rule *rules, struct placement *placements,
    size_t count, uint32_t *first_entries, struct rule_entry **ret_entries)
{
    struct rule_entry *entries = make_entries(reader->arena, count + 1);
    if (!entries)
        return NO_MEMORY;
    if (count > 0)
        qsort_r(placements, count, sizeof *placements, compare_placements, rules);
    uint32_t used = 1;
    for (size_t begin = 0, end; begin < count; begin = end) {
        end = begin + 1;
        while (end < count && placements[end].leaf == placements[begin].leaf)
            end++;
        first_entries[placements[begin].leaf] = used;
        used += fill_leaf(reader, rules, placements + begin, end - begin, entries + used);
    }
    *ret_entries = entries;
    return OK;
}
