#include "service/roster.h"

#include "service/check.h"
#include "service/name_watch.h"
#include "service/service_tls.h"

#include <stdlib.h>

/* --- sets */

static void set_free(struct endpoint_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        endpoint_drop(set->entries[i]);
    free(set->entries);
    free(set->endpoints);
    free(set->candidates);
    free(set);
}

static struct endpoint_set *set_new(size_t capacity)
{
    struct endpoint_set *set = calloc(1, sizeof *set);
    if (!set)
        return NULL;
    set->entries = calloc(capacity + 1, sizeof *set->entries);
    set->endpoints = calloc(capacity + 1, sizeof *set->endpoints);
    set->candidates = calloc(capacity + 1, sizeof *set->candidates);
    if (set->entries && set->endpoints && set->candidates)
        return set;
    set_free(set);
    return NULL;
}

/* An address that occurs twice (two names for it) is one endpoint with the weights of both. */
static enum status set_add(struct endpoint_set *set, const struct roster *roster,
    const struct endpoint_key *key, int64_t weight)
{
    struct endpoint_entry *entry;
    enum status e = endpoint_obtain(roster->plane, key, &entry);
    if (e)
        return e;
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->entries[i] != entry)
            continue;
        set->candidates[i].weight += (uint32_t)weight;
        endpoint_drop(entry);
        return OK;
    }
    uint32_t i = set->count++;
    set->entries[i] = entry;
    set->endpoints[i] = endpoint_of(entry);
    set->candidates[i] = (struct candidate){&set->endpoints[i]->load, (uint32_t)weight};
    return OK;
}

static enum status set_add_resolved(struct endpoint_set *set, const struct roster *roster,
    struct endpoint_key *key, const struct address *addresses, size_t count, int64_t weight)
{
    enum status e = OK;
    for (size_t i = 0; !e && i < count; i++) {
        char room[ADDRESS_TEXT_MAX];
        struct text text = text_fixed(room, sizeof room);
        address_format(&addresses[i], &text);
        key->text = text_slice(&text);
        key->address = &addresses[i];
        e = set_add(set, roster, key, weight);
    }
    return e;
}

static size_t count_addresses(const struct roster *roster, enum status *ret_trouble)
{
    const struct endpoint_options *items = roster->options->at.items;
    const struct address *addresses;
    size_t total = 0;
    *ret_trouble = OK;
    for (size_t i = 0; i < roster->options->at.count; i++) {
        size_t count = 1;
        enum status e = OK;
        if (items[i].at.name.size)
            e = name_watch_look(roster, items[i].at.name, items[i].at.port, &addresses, &count);
        if (e)
            *ret_trouble = e;
        total += count;
    }
    return total;
}

/* The endpoints as they are known now. */
static enum status set_build(struct roster *roster, struct endpoint_set **ret_set)
{
    enum status trouble;
    struct endpoint_set *set = set_new(count_addresses(roster, &trouble));
    if (!set)
        return NO_MEMORY;
    set->trouble = trouble;
    const struct endpoint_options *items = roster->options->at.items;
    enum status e = OK;
    for (size_t i = 0; !e && i < roster->options->at.count; i++) {
        const struct endpoint_place *at = &items[i].at;
        const struct address *addresses = &at->address;
        size_t count = 1;
        if (!at->text.size) /* it could not be read; who reads the options has complained */
            continue;
        char room[ADDRESS_TEXT_MAX];
        struct endpoint_key key = {.service_name = roster->service_name,
            .text = at->text,
            .tls_name = service_tls_name(roster->options, at, room),
            .address = addresses};
        if (at->name.size) {
            (void)name_watch_look(roster, at->name, at->port, &addresses, &count);
            e = set_add_resolved(set, roster, &key, addresses, count, items[i].weight);
        } else {
            e = set_add(set, roster, &key, items[i].weight);
        }
    }
    if (e) {
        set_free(set);
        return e;
    }
    *ret_set = set;
    return OK;
}

/* --- views */

static struct view *view_new(struct roster *roster, struct endpoint_set *set, unsigned worker)
{
    const struct balancer_type *type = roster->options->balance.type;
    struct view *view = calloc(1, sizeof *view + balancer_state_size(type, set->count));
    if (!view)
        return NULL;
    view->roster = roster;
    view->set = set;
    view->worker = worker;
    if (type->build)
        type->build(view->balance, set->candidates, set->count);
    set->users++;
    list_push_back(&roster->views, &view->node);
    return view;
}

static void view_free(struct view *view)
{
    struct endpoint_set *set = view->set;
    list_remove(&view->node);
    free(view);
    if (--set->users == 0)
        set_free(set);
}

/* On the control thread: the last message of a roster that has been retired ends it. */
static void come_back(struct message *message)
{
    struct view *view = list_entry(message, struct view, message);
    struct roster *roster = view->roster;
    view_free(view);
    if (--roster->on_the_way == 0 && !roster->options)
        roster_free(roster);
}

void view_give_back(struct view *view)
{
    view->message.deliver = come_back;
    mailbox_post(view->roster->plane->options.control_loop, &view->message);
}

/* On the worker. */
static void take_over(struct message *message)
{
    struct view *view = list_entry(message, struct view, message);
    struct view *old = view->roster->current[view->worker];
    view->roster->current[view->worker] = view;
    old->is_old = true;
    if (old->uses == 0)
        view_give_back(old);
}

/* --- rosters */

static enum status watch_names(struct roster *roster)
{
    const struct endpoint_options *items = roster->options->at.items;
    enum status e = OK;
    for (size_t i = 0; !e && i < roster->options->at.count; i++)
        if (items[i].at.name.size)
            e = name_watch_add(roster, items[i].at.name, items[i].at.port);
    return e;
}

static enum status make_first_views(struct roster *roster)
{
    struct endpoint_set *set;
    enum status e = set_build(roster, &set);
    if (e)
        return e;
    set->users++; /* while views are being made */
    for (unsigned i = 0; !e && i <= roster->plane->options.workers; i++) {
        roster->current[i] = view_new(roster, set, i);
        e = roster->current[i] ? OK : NO_MEMORY;
    }
    if (--set->users == 0)
        set_free(set);
    return e;
}

enum status roster_new(struct service_plane *plane, struct slice service_name,
    const struct service_options *options, struct roster **ret_roster)
{
    /* One view more than there are workers: the control thread's own, to look at. */
    size_t size = sizeof(struct roster) + (plane->options.workers + 1) * sizeof(struct view *);
    struct roster *roster = calloc(1, size);
    if (!roster)
        return NO_MEMORY;
    *roster = (struct roster){.plane = plane, .service_name = service_name, .options = options};
    list_init(&roster->views);
    list_init(&roster->watches);
    list_push_back(&plane->rosters, &roster->node);
    enum status e = watch_names(roster);
    if (!e)
        e = make_first_views(roster);
    if (e)
        roster_free(roster);
    else
        *ret_roster = roster;
    return e;
}

/* The control thread's own view changes at once. */
static void show_control(struct roster *roster, struct endpoint_set *set)
{
    unsigned own = roster->plane->options.workers;
    struct view *view = view_new(roster, set, own);
    if (!view)
        return;
    view_free(roster->current[own]);
    roster->current[own] = view;
}

void roster_update(struct roster *roster)
{
    struct endpoint_set *set;
    if (set_build(roster, &set))
        return; /* without memory the old endpoints stay */
    set->users++;
    show_control(roster, set);
    if (roster->is_active)
        checks_start(set, roster->options);
    for (unsigned i = 0; i < roster->plane->options.workers; i++) {
        struct view *view = view_new(roster, set, i);
        if (!view)
            continue;
        view->message.deliver = take_over;
        if (plane_post(roster->plane, i, &view->message))
            roster->on_the_way++;
        else
            view_free(view);
    }
    if (--set->users == 0)
        set_free(set);
}

void roster_retire(struct roster *roster)
{
    name_watch_remove_all(roster);
    roster->options = NULL;
    roster->service_name = SLICE_NONE;
    if (roster->on_the_way == 0)
        roster_free(roster);
}

void roster_free(struct roster *roster)
{
    name_watch_remove_all(roster);
    list_each (node, &roster->views)
        view_free(list_entry(node, struct view, node));
    list_remove(&roster->node);
    free(roster);
}
