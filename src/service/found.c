#include "service/found.h"

#include "run/loop.h"
#include "run/resolver.h"

#include <stdlib.h>

#define RESOLVE_TIME (5 * SECOND)

enum status findings_add(struct findings *findings, const struct finding *finding)
{
    if (findings->count == FOUND_MAX)
        return FULL;
    if (findings->count == findings->capacity) {
        size_t capacity = findings->capacity ? 2 * findings->capacity : 16;
        struct finding *items = arena_array(findings->arena, capacity, sizeof *items);
        if (!items)
            return NO_MEMORY;
        if (findings->count)
            memcpy(items, findings->items, findings->count * sizeof *items);
        findings->items = items;
        findings->capacity = capacity;
    }
    struct finding *item = &findings->items[findings->count++];
    *item = *finding;
    if (item->weight > FOUND_WEIGHT_MAX)
        item->weight = FOUND_WEIGHT_MAX;
    if (item->label_count > FOUND_LABELS_MAX)
        item->label_count = FOUND_LABELS_MAX;
    return OK;
}

enum status findings_add_ip(
    struct findings *findings, struct finding finding, struct slice ip, uint64_t port)
{
    if (port == 0 || port > 65535 || address_parse_ip(ip, (uint16_t)port, &finding.address))
        return INVALID;
    return findings_add(findings, &finding);
}

static enum status add_name(struct findings *findings, struct finding finding,
    struct resolver *resolver, struct slice host, uint16_t port)
{
    struct resolved resolved;
    enum status e = resolver_resolve(
        resolver, host, port, findings->arena, loop_now() + RESOLVE_TIME, &resolved);
    if (e)
        return e == CANCELLED || e == NO_MEMORY ? e : OK;
    if (!finding.name.size)
        finding.name = arena_copy(findings->arena, host);
    for (size_t i = 0; !e && i < resolved.count; i++) {
        finding.address = resolved.addresses[i];
        e = findings_add(findings, &finding);
    }
    return e;
}

enum status findings_add_host(struct findings *findings, struct finding finding,
    struct resolver *resolver, struct slice host, int64_t port)
{
    if (port < 1 || port > 65535 || !host.size)
        return OK;
    enum status e = findings_add_ip(findings, finding, host, (uint64_t)port);
    if (e != INVALID)
        return e;
    return resolver ? add_name(findings, finding, resolver, host, (uint16_t)port) : OK;
}

/* --- one */

/* Copies into the room behind a found, which was measured before. */
static struct slice put(char **at, struct slice s)
{
    char *begin = *at;
    if (s.size)
        memcpy(begin, s.data, s.size);
    *at += s.size;
    return slice_of(begin, s.size);
}

static struct found *found_new(const struct finding *finding, struct slice text)
{
    size_t size = text.size + finding->name.size + finding->zone.size + finding->trouble.size;
    for (size_t i = 0; i < finding->label_count; i++)
        size += finding->labels[i].key.size + finding->labels[i].value.size;
    size_t labels_size = finding->label_count * sizeof *finding->labels;
    struct found *found = malloc(sizeof *found + labels_size + size);
    if (!found)
        return NULL;
    struct found_label *labels = (struct found_label *)(found + 1);
    char *at = (char *)labels + labels_size;
    *found = (struct found){.users = 1, .finding = *finding};
    found->text = put(&at, text);
    found->finding.name = put(&at, finding->name);
    found->finding.zone = put(&at, finding->zone);
    found->finding.trouble = put(&at, finding->trouble);
    found->finding.labels = labels;
    for (size_t i = 0; i < finding->label_count; i++)
        labels[i] = (struct found_label){
            put(&at, finding->labels[i].key), put(&at, finding->labels[i].value)};
    return found;
}

void found_ref(struct found *found)
{
    found->users++;
}

void found_unref(struct found *found)
{
    if (found && --found->users == 0)
        free(found);
}

static bool has_same_labels(const struct finding *a, const struct finding *b)
{
    for (size_t i = 0; i < a->label_count; i++)
        if (!slice_equal(a->labels[i].key, b->labels[i].key) ||
            !slice_equal(a->labels[i].value, b->labels[i].value))
            return false;
    return true;
}

static bool is_same(const struct finding *a, const struct finding *b)
{
    return a->weight == b->weight && a->tier == b->tier && a->label_count == b->label_count &&
           slice_equal(a->name, b->name) && slice_equal(a->zone, b->zone) &&
           slice_equal(a->trouble, b->trouble) && has_same_labels(a, b);
}

/* --- lists */

/* A finding with its text, to be put in order. */
struct drafted {
    const struct finding *finding;
    struct slice text;
};

/* Of two with one address the one that is well comes first, then the one of the first tier. */
static int by_text(const void *one, const void *other)
{
    const struct drafted *a = one, *b = other;
    int order = slice_compare(a->text, b->text);
    if (order)
        return order;
    bool a_well = a->finding->trouble.size == 0, b_well = b->finding->trouble.size == 0;
    if (a_well != b_well)
        return a_well ? -1 : 1;
    if (a->finding->tier != b->finding->tier)
        return a->finding->tier < b->finding->tier ? -1 : 1;
    return a->finding < b->finding ? -1 : a->finding > b->finding;
}

static struct drafted *draft(const struct findings *findings, char **ret_texts)
{
    struct drafted *drafts = calloc(findings->count + 1, sizeof *drafts);
    char *texts = malloc((findings->count + 1) * ADDRESS_TEXT_MAX);
    if (!drafts || !texts) {
        free(drafts);
        free(texts);
        return NULL;
    }
    char *at = texts;
    for (size_t i = 0; i < findings->count; i++) {
        struct text text = text_fixed(at, ADDRESS_TEXT_MAX);
        address_format(&findings->items[i].address, &text);
        drafts[i] = (struct drafted){&findings->items[i], text_slice(&text)};
        at += text.size;
    }
    qsort(drafts, findings->count, sizeof *drafts, by_text);
    *ret_texts = texts;
    return drafts;
}

/* Walks through the old list beside the new one. */
struct walk {
    const struct found_list *old;
    size_t at; /* the next old one */
    size_t kept;
};

static struct found *find_old(struct walk *walk, struct slice text)
{
    int order = -1;
    while (walk->at < walk->old->count &&
           (order = slice_compare(walk->old->items[walk->at]->text, text)) < 0)
        walk->at++;
    return walk->at < walk->old->count && order == 0 ? walk->old->items[walk->at] : NULL;
}

static struct found *keep_or_make(struct walk *walk, const struct drafted *drafted)
{
    struct found *old = find_old(walk, drafted->text);
    if (!old || !is_same(&old->finding, drafted->finding))
        return found_new(drafted->finding, drafted->text);
    walk->kept++;
    found_ref(old);
    return old;
}

static enum status fill(
    struct found_list *list, struct walk *walk, const struct drafted *drafts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i && slice_equal(drafts[i].text, drafts[i - 1].text))
            continue;
        struct found *found = keep_or_make(walk, &drafts[i]);
        if (!found)
            return NO_MEMORY;
        list->items[list->count++] = found;
        list->well += found->finding.trouble.size == 0;
    }
    return OK;
}

enum status found_list_make(const struct found_list *old, const struct findings *findings,
    struct found_list *ret_list, size_t *ret_changes)
{
    char *texts;
    struct drafted *drafts = draft(findings, &texts);
    struct found_list list = {calloc(findings->count + 1, sizeof *list.items), 0, 0};
    struct walk walk = {old, 0, 0};
    enum status e = drafts && list.items ? OK : NO_MEMORY;
    if (!e)
        e = fill(&list, &walk, drafts, findings->count);
    if (drafts)
        free(texts);
    free(drafts);
    if (e) {
        found_list_release(&list);
        return e;
    }
    *ret_changes = list.count - walk.kept;
    if (old->count - walk.kept > *ret_changes)
        *ret_changes = old->count - walk.kept;
    *ret_list = list;
    return OK;
}

void found_list_release(struct found_list *list)
{
    for (size_t i = 0; list->items && i < list->count; i++)
        found_unref(list->items[i]);
    free(list->items);
    *list = (struct found_list){NULL, 0, 0};
}
