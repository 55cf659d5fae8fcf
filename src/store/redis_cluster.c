#include "store/redis_cluster.h"

#include "store/resp.h"

/* CRC-16/XMODEM, four bits at a time. */
static unsigned check_sum(struct slice bytes)
{
    static const uint16_t table[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6,
        0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
    unsigned sum = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned byte = (unsigned char)bytes.data[i];
        sum = (sum << 4 ^ table[(sum >> 12 ^ byte >> 4) & 15]) & 0xffff;
        sum = (sum << 4 ^ table[(sum >> 12 ^ byte) & 15]) & 0xffff;
    }
    return sum;
}

unsigned redis_slot_of(struct slice key)
{
    struct slice behind = slice_from(key, slice_find(key, '{') + 1);
    size_t end = slice_find(behind, '}');
    struct slice tag = end > 0 && end < behind.size ? slice_head(behind, end) : key;
    return check_sum(tag) % REDIS_SLOTS;
}

/* IPv6 addresses have colons of their own: the port is behind the last. */
static bool read_place(struct slice text, struct redis_redirect *redirect)
{
    size_t colon = text.size;
    uint64_t port;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == ':')
            colon = i;
    if (colon == 0 || colon > REDIS_HOST_MAX || !slice_to_u64(slice_from(text, colon + 1), &port) ||
        port == 0 || port > UINT16_MAX)
        return false;
    redirect->host = slice_head(text, colon);
    redirect->port = (uint16_t)port;
    return true;
}

enum status redis_redirect_read(struct slice error, struct redis_redirect *ret_redirect)
{
    struct redis_redirect redirect = {0};
    struct slice rest = error, word, slot, place;
    uint64_t number;
    if (!slice_split(&rest, ' ', &word) || !slice_split(&rest, ' ', &slot) ||
        !slice_split(&rest, ' ', &place))
        return INVALID;
    redirect.is_ask = slice_equal(word, SLICE("ASK"));
    if (!redirect.is_ask && !slice_equal(word, SLICE("MOVED")))
        return INVALID;
    if (!slice_to_u64(slot, &number) || number >= REDIS_SLOTS || !read_place(place, &redirect))
        return INVALID;
    redirect.slot = (unsigned)number;
    *ret_redirect = redirect;
    return OK;
}

/* --- the map */

enum status redis_map_begin(struct slice reply, struct redis_map_reader *ret_reader)
{
    struct redis_map_reader reader = {.rest = reply};
    struct resp_token token;
    if (resp_read(&reader.rest, &token) || token.kind != RESP_LIST)
        return INVALID;
    reader.left = token.number;
    *ret_reader = reader;
    return OK;
}

static bool read_number(struct slice *rest, int64_t most, int64_t *ret_number)
{
    struct resp_token token;
    if (resp_read(rest, &token) || token.kind != RESP_NUMBER || token.number < 0 ||
        token.number > most)
        return false;
    *ret_number = token.number;
    return true;
}

/* A node: host, port, and more that is not read. A host that is not known is null, "" or "?". */
static bool read_node(struct slice rest, struct redis_range *range)
{
    struct resp_token list, host;
    int64_t port;
    if (resp_read(&rest, &list) || list.kind != RESP_LIST || list.number < 2 ||
        resp_read(&rest, &host) || (host.kind != RESP_TEXT && host.kind != RESP_NOTHING) ||
        !read_number(&rest, UINT16_MAX, &port))
        return false;
    bool is_known = host.kind == RESP_TEXT && host.text.size <= REDIS_HOST_MAX &&
                    !slice_equal(host.text, SLICE("?")) && port > 0;
    range->host = is_known ? host.text : SLICE_NONE;
    range->port = (uint16_t)port;
    return true;
}

/* First slot, last slot, the master, its replicas. */
enum status redis_map_next(struct redis_map_reader *reader, struct redis_range *ret_range)
{
    struct redis_range range;
    struct resp_token list;
    int64_t first, last;
    size_t size;
    if (reader->left == 0)
        return END;
    if (resp_size(reader->rest, &size))
        return INVALID;
    struct slice rest = slice_head(reader->rest, size);
    if (resp_read(&rest, &list) || list.kind != RESP_LIST || list.number < 3 ||
        !read_number(&rest, REDIS_SLOTS - 1, &first) ||
        !read_number(&rest, REDIS_SLOTS - 1, &last) || last < first || !read_node(rest, &range))
        return INVALID;
    range.first = (unsigned)first;
    range.last = (unsigned)last;
    reader->rest = slice_from(reader->rest, size);
    reader->left--;
    *ret_range = range;
    return OK;
}
