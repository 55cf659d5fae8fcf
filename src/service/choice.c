#include "service/choice.h"

#include "balance/key_hash.h"
#include "balance/sticky_table.h"
#include "base/hash.h"
#include "http/cookie.h"
#include "run/loop.h"
#include "service/overload.h"
#include "service/sticky.h"

#include <openssl/crypto.h>

/* --- what the request says */

static uint64_t ask_key(const struct balance_options *balance, struct exchange *x)
{
    struct slice text = expression_text(balance->key, x);
    return text.data ? key_hash((enum key_hash)balance->hash, text, (uint64_t)balance->seed) : 0;
}

/* An expression for the key; or our cookie, which names the endpoint by itself. */
static void ask_session(struct choice *choice, const struct service *service, struct exchange *x)
{
    const struct sticky_options *options = service->sticky->options;
    if (options->by) {
        struct slice text = expression_text(options->by, x);
        if (!text.size)
            return;
        choice->session = sticky_key(service->plane, text);
        choice->wanted = (uint64_t)sticky_table_find(service->sticky->table, choice->session,
                             (uint32_t)(options->timeout / SECOND), sticky_seconds(loop_now()))
                         << 32;
        return;
    }
    struct slice cookie = cookie_value(&x->request.fields, options->cookie);
    choice->wanted = sticky_claimed(cookie);
    choice->cookie = cookie;
}

void choice_begin_with(struct choice *choice, const struct service *service, struct exchange *x)
{
    const struct service_options *options = service->options;
    if (options->balance.key)
        choice->hash = ask_key(&options->balance, x);
    if (options->subset.is_set) {
        struct slice value = expression_text(options->subset.by, x);
        choice->subset = value.size ? subset_id(value) : 0;
    }
    if (service->sticky)
        ask_session(choice, service, x);
}

/* --- picking */

static bool was_tried(const struct choice *choice, uint32_t place)
{
    for (uint32_t i = 0; i < choice->tried_count; i++)
        if (choice->tried[i] == place)
            return true;
    return false;
}

/* Where the session is, if it may go on there: an endpoint that is being drained lets its sessions
 * end. */
static uint32_t find_session(
    const struct choice *choice, const struct service *service, const struct endpoint_set *set)
{
    bool is_cookie = !service->sticky->options->by;
    uint32_t place = endpoint_set_find(set, choice->wanted, !is_cookie);
    if (place == PICK_NONE || was_tried(choice, place))
        return PICK_NONE;
    if (is_cookie && CRYPTO_memcmp(choice->cookie.data, set->cookies[place], STICKY_COOKIE_SIZE))
        return PICK_NONE;
    const struct candidate *candidate = &set->members[place].candidate;
    uint32_t down = atomic_load_explicit(&candidate->load->is_down, memory_order_relaxed);
    bool will_do = (down & ~(uint32_t)DOWN_DRAINED) == 0 && !candidate_is_full(candidate);
    return will_do ? place : PICK_NONE;
}

static uint32_t pick_in_slate(struct choice *choice, struct view *view, uint32_t number)
{
    struct pick pick = {.random = loop_random(),
        .hash = choice->hash,
        .now = loop_now(),
        .tried = choice->tried,
        .tried_count = choice->tried_count};
    return view_pick(view, number, &pick);
}

static uint32_t pick_subset(struct choice *choice, const struct service *service, struct view *view)
{
    uint32_t number = endpoint_set_subset(view->set, choice->subset);
    uint32_t place = number ? pick_in_slate(choice, view, number) : PICK_NONE;
    if (place == PICK_NONE && service->options->subset.otherwise == SUBSET_ELSE_ANY)
        place = pick_in_slate(choice, view, 0);
    return place;
}

static void count_place(const struct service *service, const struct view *view, uint32_t place)
{
    const struct set_series *series = &view->set->series[place];
    struct metrics_shard *shard = plane_shard(service->plane, view->worker);
    if (series->zone)
        metric_add(shard, series->zone, 1);
    if (series->spilled)
        metric_add(shard, series->spilled, 1);
}

uint32_t choice_pick(struct choice *choice, const struct service *service, struct view *view)
{
    const struct endpoint_set *set = view->set;
    uint32_t place = PICK_NONE;
    if (choice->wanted)
        place = find_session(choice, service, set);
    choice->is_moved = choice->wanted && place == PICK_NONE;
    if (place == PICK_NONE)
        place =
            choice->subset ? pick_subset(choice, service, view) : pick_in_slate(choice, view, 0);
    if (place != PICK_NONE && set->series)
        count_place(service, view, place);
    if (place != PICK_NONE && service->sticky)
        choice->id = set->members[place].candidate.id;
    return place;
}

enum status choice_claim(struct choice *choice, const struct service *service, struct view *view,
    enum status (*may)(void *argument, struct endpoint *endpoint), void *argument,
    uint32_t *ret_place)
{
    const struct endpoint_set *set = view->set;
    uint32_t tried = choice->tried_count, place;
    enum status e = OK;
    do {
        place = choice_pick(choice, service, view);
        if (place == PICK_NONE)
            break;
        e = may(argument, set->endpoints[place]);
        if (e)
            choice_exclude(choice, place);
    } while (e && choice->tried_count < CHOICE_TRIED_MAX);
    choice->tried_count = tried;
    if (e)
        return e;
    if (place == PICK_NONE)
        return set->count == 0 && set->trouble ? set->trouble : overload_why_nobody(service, set);
    *ret_place = place;
    return OK;
}

/* --- keeping */

static void keep_in_table(
    struct choice *choice, const struct service *service, struct exchange *x, bool has_ended)
{
    const struct sticky *sticky = service->sticky;
    uint32_t endpoint = (uint32_t)(choice->id >> 32), now = sticky_seconds(loop_now());
    struct slice learnt = SLICE_NONE;
    if (choice->session && has_ended)
        sticky_table_drop(sticky->table, choice->session);
    else if (choice->session && endpoint)
        sticky_table_put(sticky->table, choice->session, endpoint, now);
    if (sticky->options->learn && !has_ended)
        learnt = expression_text(sticky->options->learn, x);
    if (learnt.size && endpoint)
        sticky_table_put(sticky->table, sticky_key(service->plane, learnt), endpoint, now);
}

static void keep_in_cookie(
    struct choice *choice, const struct service *service, struct exchange *x, bool has_ended)
{
    char text[STICKY_COOKIE_SIZE];
    const struct sticky_options *options = service->sticky->options;
    if (has_ended) {
        if (choice->cookie.data)
            sticky_set_cookie(options, x, SLICE_NONE);
    } else if (choice->wanted != choice->id || choice->is_moved) {
        sticky_sign(service->plane, options, service->name, choice->id, text);
        sticky_set_cookie(options, x, slice_of(text, sizeof text));
    }
}

static void count(
    const struct choice *choice, const struct service *service, unsigned worker, bool has_ended)
{
    const struct sticky *sticky = service->sticky;
    uint32_t series = sticky->new_series;
    if (has_ended)
        series = sticky->ended_series;
    else if (choice->wanted)
        series = choice->is_moved ? sticky->moved_series : sticky->kept_series;
    metric_add(plane_shard(service->plane, worker), series, 1);
}

void choice_settle_with(struct choice *choice, const struct service *service, unsigned worker)
{
    if (choice->session)
        sticky_table_put(service->sticky->table, choice->session, (uint32_t)(choice->id >> 32),
            sticky_seconds(loop_now()));
    count(choice, service, worker, false);
}

void choice_keep_with(struct choice *choice, const struct service *service, struct exchange *x)
{
    const struct sticky *sticky = service->sticky;
    bool has_ended = sticky->options->logout && expression_is_true(sticky->options->logout, x);
    if (sticky->table)
        keep_in_table(choice, service, x, has_ended);
    else
        keep_in_cookie(choice, service, x, has_ended);
    count(choice, service, x->worker, has_ended);
}
