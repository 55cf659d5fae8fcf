#include "service/order.h"

#include "service/outlier.h"
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
