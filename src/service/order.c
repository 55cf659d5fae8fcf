#include "service/order.h"

#include "service/outlier.h"
#include "service/rollout.h"
#include "service/service_state.h"

static const char *const words[] = {
    [ORDER_READY] = "ready", [ORDER_DRAIN] = "drain", [ORDER_MAINTENANCE] = "maintenance"};

bool order_of(struct slice word, enum endpoint_order *ret_order)
{
    for (int i = ORDER_READY; i <= ORDER_MAINTENANCE; i++) {
        if (!slice_equal(word, slice_of_text(words[i])))
            continue;
        *ret_order = (enum endpoint_order)i;
        return true;
    }
    return false;
}

const char *order_word(enum endpoint_order order)
{
    return words[order];
}

static void obey(struct endpoint *endpoint, enum endpoint_order order)
{
    bool was_drained = endpoint_set_down(endpoint, DOWN_DRAINED, order == ORDER_DRAIN);
    bool was_closed = endpoint_set_down(endpoint, DOWN_MAINTENANCE, order == ORDER_MAINTENANCE);
    if (!was_drained && !was_closed)
        return; /* nothing new */
    if (order == ORDER_READY)
        endpoint_note(endpoint, "ready: said by an operator");
    else
        endpoint_note(
            endpoint, "%s: said by an operator", order == ORDER_DRAIN ? "drained" : "maintenance");
}

/* --- for a successor: a line each, "drain", the service and the endpoint, with tabs between */

static void save(const struct endpoint *endpoint, struct text *text)
{
    uint32_t reasons = endpoint_reasons(endpoint);
    enum endpoint_order order = reasons & DOWN_MAINTENANCE ? ORDER_MAINTENANCE
                                : reasons & DOWN_DRAINED   ? ORDER_DRAIN
                                                           : ORDER_READY;
    if (order != ORDER_READY)
        text_format(text, "%s\t%.*s\t%.*s\n", words[order], SLICE_ARG(endpoint->service_name),
            SLICE_ARG(endpoint->text));
}

void orders_save(struct service_plane *plane, struct text *text)
{
    pthread_mutex_lock(&plane->mutex);
    list_each (node, &plane->endpoints)
        save(list_entry(node, struct endpoint, node), text);
    pthread_mutex_unlock(&plane->mutex);
    rollouts_save(plane, text);
}

void orders_restore(struct service_plane *plane, struct slice text)
{
    text_add(&plane->orders, text);
}

static bool is_for(struct slice line, const struct endpoint *endpoint, enum endpoint_order *order)
{
    struct slice word, name;
    return slice_split(&line, '\t', &word) && slice_split(&line, '\t', &name) &&
           slice_equal(name, endpoint->service_name) && slice_equal(line, endpoint->text) &&
           order_of(word, order);
}

void orders_apply(struct endpoint *endpoint)
{
    struct text *orders = &endpoint->plane->orders;
    struct slice rest = text_slice(orders), line;
    enum endpoint_order order;
    while (rest.size && slice_split(&rest, '\n', &line)) {
        if (!is_for(line, endpoint, &order))
            continue;
        obey(endpoint, order);
        orders->data[line.data - orders->data] = '#'; /* it has been heard */
    }
}

enum status service_order(
    const struct service *service, struct slice endpoint, enum endpoint_order order)
{
    if (!service->roster)
        return NOT_FOUND; /* its versions have endpoints */
    const struct endpoint_set *set = roster_look(service->roster);
    for (uint32_t i = 0; i < set->count; i++) {
        if (!slice_equal(set->endpoints[i]->text, endpoint))
            continue;
        obey(set->endpoints[i], order);
        outlier_look_for_panic(service->roster);
        return OK;
    }
    return NOT_FOUND;
}
