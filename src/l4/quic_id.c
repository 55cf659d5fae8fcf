#include "l4/quic_id.h"

enum {
    LONG_HEADER = 0x80,
    VERSION_SIZE = 4,
};

/* An id with its length in front. */
static bool take_id(struct slice *rest, struct slice *ret_id)
{
    if (rest->size == 0)
        return false;
    size_t size = (unsigned char)rest->data[0];
    if (rest->size < 1 + size)
        return false;
    *ret_id = slice_of(rest->data + 1, size);
    *rest = slice_of(rest->data + 1 + size, rest->size - 1 - size);
    return true;
}

bool quic_ids_read(struct slice datagram, struct quic_ids *ret_ids)
{
    struct quic_ids ids = {0};
    if (datagram.size < 2)
        return false;
    ids.is_long = datagram.data[0] & LONG_HEADER;
    struct slice rest = slice_from(datagram, 1);
    if (!ids.is_long) {
        ids.to = slice_head(rest, QUIC_ID_MAX);
        *ret_ids = ids;
        return true;
    }
    if (rest.size <= VERSION_SIZE)
        return false;
    rest = slice_from(rest, VERSION_SIZE);
    if (!take_id(&rest, &ids.to) || !take_id(&rest, &ids.from))
        return false;
    *ret_ids = ids;
    return true;
}
