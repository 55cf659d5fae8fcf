#include "http/uri.h"

#include <arpa/inet.h>

#include "base/text.h"
#include "http/scan.h"

/* The byte that "%XX" at the front of `s` stands for, or -1. */
static int escaped_byte(struct slice s)
{
    if (s.size < 3)
        return -1;
    int high = slice_hex_digit(s.data[1]), low = slice_hex_digit(s.data[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static char *put_escaped(char *out, unsigned char byte)
{
    static const char digits[] = "0123456789ABCDEF";
    *out++ = '%';
    *out++ = digits[byte >> 4];
    *out++ = digits[byte & 15];
    return out;
}

/* --- paths */

/* True when nothing in a path has to change: pchars only, and no segment that begins with a dot. */
static bool is_normal(struct slice path)
{
    const char *end = path.data + path.size;
    if (scan_path(path.data, end) != end)
        return false;
    for (const char *p = path.data; (p = memchr(p, '.', (size_t)(end - p))); p++)
        if (p[-1] == '/')
            return false;
    return true;
}

/* One "%XX" in its normal form. */
static enum status normalise_escape(struct slice s, enum encoded_slash slashes, char **out)
{
    int byte = escaped_byte(s);
    if (byte < 0x20 || byte == 0x7f || byte == '\\')
        return BAD_PATH;
    if (byte == '/' && slashes == ENCODED_SLASH_REFUSE)
        return BAD_PATH;
    if ((byte == '/' && slashes == ENCODED_SLASH_DECODE) || scan_is((char)byte, SCAN_UNRESERVED))
        *(*out)++ = (char)byte;
    else
        *out = put_escaped(*out, (unsigned char)byte);
    return OK;
}

/* Escapes made normal; visible bytes that may not stand in a path (RFC 3986 §3.3) but are sent by
 * some are escaped, so that they have one form too. */
static enum status normalise_bytes(
    struct slice path, enum encoded_slash slashes, char *out, size_t *ret_size)
{
    char *begin = out;
    for (size_t i = 0; i < path.size; i++) {
        char c = path.data[i];
        if (c == '%') {
            enum status e = normalise_escape(slice_from(path, i), slashes, &out);
            if (e)
                return e;
            i += 2;
        } else if (scan_is(c, SCAN_PATH)) {
            *out++ = c;
        } else if (scan_is(c, SCAN_TARGET) && c != '\\' && c != '?') {
            out = put_escaped(out, (unsigned char)c);
        } else {
            return BAD_PATH;
        }
    }
    *ret_size = (size_t)(out - begin);
    return OK;
}

/* How many dots a segment consists of, 1 or 2; 0 when it is no dot segment. */
static unsigned dots(struct slice segment)
{
    if (slice_equal(segment, SLICE(".")))
        return 1;
    return slice_equal(segment, SLICE("..")) ? 2 : 0;
}

/* True for what some servers would make a dot segment of: with a parameter behind it ("..;x"), or
 * between encoded slashes that are kept ("a%2F.."). */
static bool is_hidden_dots(struct slice segment)
{
    bool whole = true;
    while (segment.data) {
        size_t slash = slice_find_slice(segment, SLICE("%2F"));
        struct slice piece = slice_head(segment, slash);
        whole = whole && slash == segment.size;
        struct slice bare = slice_head(piece, slice_find(piece, ';'));
        if (dots(bare) && (bare.size != piece.size || !whole))
            return true;
        segment = slice_from(segment, slash + 3);
    }
    return false;
}

/* Resolves dot segments in place (RFC 3986 §5.2.4). `path` begins with "/". */
static enum status resolve_dots(char *path, size_t *size)
{
    struct slice rest = slice_of(path + 1, *size - 1), segment;
    size_t end = 0;       /* of what is done: always before a "/" or at the front */
    bool is_open = false; /* the last segment left a "/" behind */
    while (slice_split(&rest, '/', &segment)) {
        unsigned count = dots(segment);
        is_open = count != 0;
        if (count == 2) {
            if (end == 0)
                return BAD_PATH;
            while (path[--end] != '/')
                ;
        } else if (count == 0) {
            if (is_hidden_dots(segment))
                return BAD_PATH;
            path[end] = '/';
            memmove(path + end + 1, segment.data, segment.size);
            end += segment.size + 1;
        }
    }
    if (is_open)
        path[end++] = '/';
    *size = end;
    return OK;
}

enum status uri_normalise_path(
    struct arena *arena, struct slice path, enum encoded_slash slashes, struct slice *ret_path)
{
    if (path.size == 0 || path.data[0] != '/')
        return BAD_PATH;
    if (is_normal(path)) {
        *ret_path = path;
        return OK;
    }
    char *out = arena_bytes(arena, path.size * 3);
    if (!out)
        return NO_MEMORY;
    size_t size;
    enum status e = normalise_bytes(path, slashes, out, &size);
    if (e == OK)
        e = resolve_dots(out, &size);
    if (e == OK)
        *ret_path = slice_of(out, size);
    return e;
}

/* --- authorities */

static enum status parse_port(struct slice text, uint16_t *ret_port)
{
    uint64_t port;
    if (text.size > 5 || !slice_to_u64(text, &port) || port == 0 || port > UINT16_MAX)
        return BAD_HOST;
    *ret_port = (uint16_t)port;
    return OK;
}

/* "[::1]" and what follows; `host` becomes the address in its usual form. */
static enum status parse_ipv6(
    struct arena *arena, struct slice authority, struct slice *ret_host, struct slice *ret_rest)
{
    char text[INET6_ADDRSTRLEN], usual[INET6_ADDRSTRLEN];
    struct in6_addr address;
    size_t close = slice_find(authority, ']');
    if (close == authority.size || close - 1 >= sizeof text)
        return BAD_HOST;
    memcpy(text, authority.data + 1, close - 1);
    text[close - 1] = '\0';
    if (memchr(text, '\0', close - 1) || inet_pton(AF_INET6, text, &address) != 1 ||
        !inet_ntop(AF_INET6, &address, usual, sizeof usual))
        return BAD_HOST;
    *ret_host = arena_copy(arena, slice_of_text(usual));
    *ret_rest = slice_from(authority, close + 1);
    return ret_host->data ? OK : NO_MEMORY;
}

static struct slice lower_copy(struct arena *arena, struct slice name)
{
    char *lower = arena_bytes(arena, name.size);
    if (!lower)
        return SLICE_NONE;
    for (size_t i = 0; i < name.size; i++)
        lower[i] =
            (char)(name.data[i] >= 'A' && name.data[i] <= 'Z' ? name.data[i] | 0x20 : name.data[i]);
    return slice_of(lower, name.size);
}

/* Labels are not empty, but for one behind a last dot. */
static enum status parse_name(
    struct arena *arena, struct slice authority, struct slice *ret_host, struct slice *ret_rest)
{
    int lower = SCAN_HOST;
    char before = '.';
    size_t size = 0;
    for (; size < authority.size && scan_is(authority.data[size], SCAN_UNRESERVED); size++) {
        char c = authority.data[size];
        if (c == '.' && before == '.')
            return BAD_HOST;
        lower &= scan_is(c, SCAN_HOST);
        before = c;
    }
    if (size == 0)
        return BAD_HOST;
    struct slice name = slice_head(authority, size);
    *ret_host = lower ? name : lower_copy(arena, name);
    *ret_rest = slice_from(authority, size);
    return ret_host->data ? OK : NO_MEMORY;
}

enum status uri_parse_authority(
    struct arena *arena, struct slice authority, struct slice *ret_host, uint16_t *ret_port)
{
    struct slice host, rest;
    uint16_t port = 0;
    if (authority.size == 0)
        return BAD_HOST;
    enum status e = authority.data[0] == '[' ? parse_ipv6(arena, authority, &host, &rest)
                                             : parse_name(arena, authority, &host, &rest);
    if (e == OK && rest.size)
        e = rest.data[0] == ':' ? parse_port(slice_from(rest, 1), &port) : BAD_HOST;
    if (e)
        return e;
    *ret_host = host;
    *ret_port = port;
    return OK;
}

/* --- queries */

bool uri_query_next(struct slice *rest, struct slice *ret_name, struct slice *ret_value)
{
    struct slice pair;
    do
        if (!slice_split(rest, '&', &pair))
            return false;
    while (pair.size == 0);
    size_t equals = slice_find(pair, '=');
    *ret_name = slice_head(pair, equals);
    *ret_value = slice_from(pair, equals + 1);
    return true;
}

struct slice uri_query_value(struct arena *arena, struct slice query, struct slice name)
{
    struct slice raw_name, raw_value, decoded;
    while (uri_query_next(&query, &raw_name, &raw_value)) {
        if (uri_decode(arena, raw_name, true, &decoded) || !slice_equal(decoded, name))
            continue;
        if (uri_decode(arena, raw_value, true, &decoded))
            return SLICE_NONE;
        return decoded.data ? decoded : SLICE("");
    }
    return SLICE_NONE;
}

enum status uri_query_without(
    struct arena *arena, struct slice query, struct slice name, struct slice *ret_query)
{
    char *room = arena_bytes(arena, query.size + 1);
    struct text kept = text_fixed(room, query.size + 1);
    struct slice part, decoded;
    if (!room)
        return NO_MEMORY;
    while (slice_split(&query, '&', &part)) {
        enum status e = uri_decode(arena, slice_head(part, slice_find(part, '=')), true, &decoded);
        if (e == NO_MEMORY)
            return e;
        if (!e && slice_equal(decoded, name))
            continue;
        if (kept.size)
            text_add_char(&kept, '&');
        text_add(&kept, part);
    }
    *ret_query = kept.size ? text_slice(&kept) : SLICE_NONE;
    return OK;
}

/* --- escapes */

static bool is_plain(struct slice s, bool plus)
{
    return slice_find(s, '%') == s.size && (!plus || slice_find(s, '+') == s.size);
}

enum status uri_decode(struct arena *arena, struct slice s, bool plus, struct slice *ret_decoded)
{
    if (is_plain(s, plus)) {
        *ret_decoded = s;
        return OK;
    }
    char *decoded = arena_bytes(arena, s.size), *out = decoded;
    if (!decoded)
        return NO_MEMORY;
    for (size_t i = 0; i < s.size; i++) {
        int byte = (unsigned char)s.data[i];
        if (byte == '%') {
            byte = escaped_byte(slice_from(s, i));
            if (byte < 0)
                return INVALID;
            i += 2;
        } else if (byte == '+' && plus) {
            byte = ' ';
        }
        *out++ = (char)byte;
    }
    *ret_decoded = slice_of(decoded, (size_t)(out - decoded));
    return OK;
}

struct slice uri_escape(struct arena *arena, struct slice s, bool (*stays)(char c))
{
    char *encoded = arena_bytes(arena, s.size * 3), *out = encoded;
    if (!encoded)
        return SLICE_NONE;
    for (size_t i = 0; i < s.size; i++) {
        char c = s.data[i];
        if (stays(c))
            *out++ = c;
        else
            out = put_escaped(out, (unsigned char)c);
    }
    return slice_of(encoded, (size_t)(out - encoded));
}

static bool is_unreserved(char c)
{
    return scan_is(c, SCAN_UNRESERVED);
}

struct slice uri_encode(struct arena *arena, struct slice s)
{
    return uri_escape(arena, s, is_unreserved);
}
