/* What nodes of a cluster say of each other: redirects and the map of slots lie in what was read
 * and are within bounds. */
#include "base/must.h"
#include "store/redis_cluster.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_host(struct slice host, struct slice whole)
{
    must(host.size <= REDIS_HOST_MAX);
    must(!host.size ||
         (host.data >= whole.data && host.data + host.size <= whole.data + whole.size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of((const char *)data, size);
    struct redis_redirect redirect;
    struct redis_map_reader reader;
    struct redis_range range;
    must(redis_slot_of(bytes) < REDIS_SLOTS);
    if (!redis_redirect_read(bytes, &redirect)) {
        check_host(redirect.host, bytes);
        must(redirect.host.size && redirect.port && redirect.slot < REDIS_SLOTS);
    }
    if (redis_map_begin(bytes, &reader))
        return 0;
    while (!redis_map_next(&reader, &range)) {
        check_host(range.host, bytes);
        must(range.first <= range.last && range.last < REDIS_SLOTS);
        must(!range.host.size || range.port);
    }
    return 0;
}
