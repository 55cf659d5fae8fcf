#include "service/roster.h"

#include "run/loop.h"
#include "service/check.h"
#include "service/source_options.h"

#include <stdlib.h>

/* --- views */

static struct view *view_new(struct roster *roster, struct endpoint_set *set, unsigned worker)
{
    struct view *view = calloc(1, sizeof *view + set->state_size);
    if (!view)
        return NULL;
    view->roster = roster;
    view->set = set;
    view->worker = worker;
    endpoint_set_begin(set, view->balance, loop_random());
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
        endpoint_set_free(set);
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

enum status view_await(struct view **view, instant deadline)
{
    const struct roster *roster = (*view)->roster;
    unsigned worker = (*view)->worker;
    while ((*view)->set->count == 0 && (*view)->set->trouble == INCOMPLETE) {
        if (loop_now() >= deadline)
            return UPSTREAM_DISCOVERY_TIMEOUT;
        enum status e = fiber_sleep_until(loop_now() + 10 * MILLISECOND);
        if (e)
            return e;
        view_release(*view);
        *view = roster_use(roster, worker);
    }
    return OK;
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

static enum status watch_sources(
    struct roster *roster, struct reader *reader, const struct discovery_defaults *defaults)
{
    const struct endpoint_options *items = roster->options->at.items;
    struct finder_recipe recipe;
    enum status e = OK;
    for (size_t i = 0; !e && i < roster->options->at.count; i++) {
        if (!items[i].at.source)
            continue;
        e = finder_recipe_make(reader, roster->options, &items[i], defaults, &recipe);
        if (!e)
            e = finder_watch_add(roster, reader, &recipe, &items[i]);
    }
    return e;
}

static enum status make_first_views(struct roster *roster)
{
    struct endpoint_set *set;
    enum status e = endpoint_set_build(roster, NULL, &set);
    if (e)
        return e;
    set->users++; /* while views are being made */
    for (unsigned i = 0; !e && i <= roster->plane->options.workers; i++) {
        roster->current[i] = view_new(roster, set, i);
        e = roster->current[i] ? OK : NO_MEMORY;
    }
    if (--set->users == 0)
        endpoint_set_free(set);
    return e;
}

enum status roster_new(struct service_plane *plane, struct reader *reader,
    struct slice service_name, const struct service_options *options,
    const struct discovery_defaults *defaults, struct roster **ret_roster)
{
    /* One view more than there are workers: the control thread's own, to look at. */
    size_t size = sizeof(struct roster) + (plane->options.workers + 1) * sizeof(struct view *);
    struct roster *roster = calloc(1, size);
    struct guard *guard = guard_obtain(plane, service_name);
    if (!roster || !guard) {
        free(roster);
        return NO_MEMORY;
    }
    *roster = (struct roster){
        .plane = plane, .guard = guard, .service_name = service_name, .options = options};
    list_init(&roster->views);
    list_init(&roster->watches);
    list_push_back(&plane->rosters, &roster->node);
    enum status e = watch_sources(roster, reader, defaults);
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

/* To everybody, as far as there is memory. */
static void send_out(struct roster *roster, struct endpoint_set *set)
{
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
}

void roster_update(struct roster *roster)
{
    struct endpoint_set *set;
    if (endpoint_set_build(roster, roster_look(roster), &set))
        return; /* without memory the old endpoints stay */
    set->users++;
    show_control(roster, set);
    if (roster->is_active)
        checks_start(set, roster->options);
    send_out(roster, set);
    if (--set->users == 0)
        endpoint_set_free(set);
}

void roster_regrade(struct roster *roster)
{
    struct endpoint_set *set;
    if (endpoint_set_regrade(roster, roster_look(roster), &set))
        return; /* they keep their weights */
    set->users++;
    show_control(roster, set);
    send_out(roster, set);
    if (--set->users == 0)
        endpoint_set_free(set);
}

void roster_retire(struct roster *roster)
{
    finder_watch_remove_all(roster);
    roster->options = NULL;
    roster->service_name = SLICE_NONE;
    if (roster->on_the_way == 0)
        roster_free(roster);
}

void roster_free(struct roster *roster)
{
    finder_watch_remove_all(roster);
    list_each (node, &roster->views)
        view_free(list_entry(node, struct view, node));
    list_remove(&roster->node);
    free(roster);
}
