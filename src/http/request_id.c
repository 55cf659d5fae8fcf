#include "http/request_id.h"

#include "base/random.h"
#include "run/loop.h"

#define ID_MAX 128

static bool is_sane(struct slice id)
{
    for (size_t i = 0; i < id.size; i++)
        if (id.data[i] <= ' ' || id.data[i] >= 0x7f)
            return false;
    return id.size && id.size <= ID_MAX;
}

enum status request_id_assign(struct exchange *x)
{
    struct slice sent = fields_value(&x->request.fields, FIELD_X_REQUEST_ID);
    if (x->is_peer_trusted && is_sane(sent)) {
        x->request_id = sent;
        return fields_set_made(&x->request.fields, FIELD_X_REQUEST_ID, sent);
    }
    char *id = arena_bytes(&x->arena, UUID_SIZE);
    if (!id)
        return NO_MEMORY;
    random_uuid7(loop_random(), loop_wall(), id);
    x->request_id = slice_of(id, UUID_SIZE);
    return fields_set_made(&x->request.fields, FIELD_X_REQUEST_ID, x->request_id);
}
