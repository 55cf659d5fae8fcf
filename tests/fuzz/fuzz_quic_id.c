/* Connection ids: those of any datagram lie inside it. */
#include "base/must.h"
#include "l4/quic_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct slice part, struct slice whole)
{
    must(part.size == 0 ||
         (part.data >= whole.data && part.data + part.size <= whole.data + whole.size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice datagram = slice_of((const char *)data, size);
    struct quic_ids ids;
    if (!quic_ids_read(datagram, &ids))
        return 0;
    check_inside(ids.to, datagram);
    check_inside(ids.from, datagram);
    must(ids.is_long || (ids.to.size <= QUIC_ID_MAX && ids.from.size == 0));
    return 0;
}
