#include "http/deadline.h"

#include "run/loop.h"

#define LAST INT64_C(9999999999999) /* in the year 2286 */

enum status deadline_parse(struct slice text, int64_t *ret_milliseconds)
{
    uint64_t value = 0;
    if (text.size == 0 || text.size > 13 || !slice_to_u64(text, &value) || value > LAST)
        return INVALID;
    *ret_milliseconds = (int64_t)value;
    return OK;
}

enum status deadline_read(struct exchange *x)
{
    int64_t milliseconds;
    struct slice text = fields_value(&x->request.fields, FIELD_X_REQUEST_DEADLINE);
    x->tells_deadline = true;
    if (!text.data)
        return OK;
    if (x->is_peer_trusted && !deadline_parse(text, &milliseconds)) {
        int64_t left = milliseconds * MILLISECOND - loop_wall();
        exchange_limit(x, left > 0 ? clock_after(loop_now(), left) : loop_now(), DEADLINE_PASSED);
    }
    fields_remove_known(&x->request.fields, FIELD_X_REQUEST_DEADLINE);
    return OK;
}

enum status deadline_forward(struct exchange *x, instant deadline)
{
    if (!x->tells_deadline || deadline == NEVER)
        return OK;
    int64_t wall = loop_wall() + (deadline - loop_now());
    struct slice text = arena_format(&x->arena, "%lld", (long long)(wall / MILLISECOND));
    return text.data ? fields_set_made(&x->request.fields, FIELD_X_REQUEST_DEADLINE, text)
                     : NO_MEMORY;
}
