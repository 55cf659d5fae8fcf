/* PROXY headers: however the bytes come in pieces, they are read alike, and a reader that goes by
 * what it is told never takes a byte too many. */
#include "base/must.h"
#include "run/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_pieces(struct slice all, size_t expected)
{
    struct proxy_header header;
    size_t have = 0, wanted = 0;
    enum status e;
    while ((e = proxy_header_parse(slice_head(all, have), &header, &wanted)) == INCOMPLETE) {
        must(wanted > have && wanted <= expected);
        have = wanted;
    }
    must(e == OK && have == expected);
}

static void check_written(const struct proxy_header *header, enum proxy_version version)
{
    char room[PROXY_HEADER_ROOM];
    struct proxy_header again;
    size_t size;
    struct slice written =
        slice_of(room, proxy_header_write(version, &header->source, &header->destination, room));
    must(proxy_header_parse(written, &again, &size) == OK && size == written.size);
    must(!again.is_local);
    must(address_port(&again.source) == address_port(&header->source));
    must(address_port(&again.destination) == address_port(&header->destination));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_of((const char *)data, size);
    struct proxy_header header;
    size_t used = 0;
    enum status e = proxy_header_parse(all, &header, &used);
    if (e == INCOMPLETE)
        must(used > size && used <= PROXY_HEADER_MAX);
    if (e)
        return 0;
    must(used <= size);
    check_pieces(all, used);
    if (!header.is_local) {
        check_written(&header, PROXY_V1);
        check_written(&header, PROXY_V2);
    }
    return 0;
}
