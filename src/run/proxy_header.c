#include "run/proxy_header.h"

#include <string.h>

#define FIRST_LOOK 15 /* "PROXY UNKNOWN\r\n": no header is shorter */

/* --- version 1: a line of text */

#define LINE_MAX_V1 107
#define SPACES_V1   5 /* PROXY TCP4 source destination port port */

static const struct slice word_v1 = SLICE_INIT("PROXY ");

static bool is_unknown_v1(struct slice line)
{
    return slice_has_prefix(slice_from(line, word_v1.size), SLICE("UNKNOWN"));
}

/* How many bytes a line that goes on has at least: those that are here, the fields that are to
 * come, and its end. */
static size_t least_v1(struct slice line, size_t spaces)
{
    static const size_t least_behind[SPACES_V1 + 1] = {10, 10, 7, 4, 2, 0};
    char last = line.data[line.size - 1];
    if (last == '\r')
        return line.size + 1;
    if (is_unknown_v1(line)) /* what follows is no field */
        return line.size + 2;
    return line.size + least_behind[spaces] + (last == ' ') + 2;
}

static size_t count_spaces(struct slice line)
{
    size_t count = 0;
    for (size_t i = 0; i < line.size; i++)
        count += line.data[i] == ' ';
    return count;
}

/* Digits without a sign or leading zeros. */
static bool parse_port(struct slice text, uint16_t *ret_port)
{
    uint64_t value;
    if (text.size > 5 || (text.size > 1 && text.data[0] == '0') || !slice_to_u64(text, &value) ||
        value > UINT16_MAX)
        return false;
    *ret_port = (uint16_t)value;
    return true;
}

static bool parse_end(struct slice ip, struct slice port, int family, struct address *ret_address)
{
    uint16_t number;
    return parse_port(port, &number) && !address_parse_ip(ip, number, ret_address) &&
           ret_address->any.sa_family == family;
}

/* The fields behind "PROXY ", without the line's end. */
static enum status parse_fields_v1(struct slice rest, struct proxy_header *header)
{
    struct slice part[SPACES_V1];
    size_t count = 0;
    while (count < SPACES_V1 && slice_split(&rest, ' ', &part[count]))
        count++;
    if (count && slice_equal(part[0], SLICE("UNKNOWN"))) {
        header->is_local = true;
        return OK;
    }
    if (count != SPACES_V1 || rest.data)
        return INVALID;
    bool is_v6 = slice_equal(part[0], SLICE("TCP6"));
    int family = is_v6 ? AF_INET6 : AF_INET;
    if (!is_v6 && !slice_equal(part[0], SLICE("TCP4")))
        return INVALID;
    bool is_good = parse_end(part[1], part[3], family, &header->source) &&
                   parse_end(part[2], part[4], family, &header->destination);
    return is_good ? OK : INVALID;
}

static enum status parse_v1(struct slice bytes, struct proxy_header *header, size_t *ret_size)
{
    struct slice line = slice_head(bytes, slice_find(bytes, '\n'));
    if (line.size < bytes.size) {
        *ret_size = line.size + 1;
        if (line.size + 1 > LINE_MAX_V1 || line.data[line.size - 1] != '\r')
            return INVALID;
        struct slice fields = slice_head(line, line.size - 1);
        return parse_fields_v1(slice_from(fields, word_v1.size), header);
    }
    size_t spaces = count_spaces(line);
    if (spaces > SPACES_V1 && !is_unknown_v1(line))
        return INVALID;
    *ret_size = least_v1(line, spaces);
    return *ret_size > LINE_MAX_V1 ? INVALID : INCOMPLETE;
}

/* --- version 2: binary */

static const struct slice signature = SLICE_INIT("\r\n\r\n\0\r\nQUIT\n");

enum {
    HEAD_V2 = 16,
    PORTS = 4,
    COMMAND_LOCAL = 0x20,
    COMMAND_PROXY = 0x21,
    FAMILY_UNKNOWN = 0x00,
    FAMILY_TCP4 = 0x11,
    FAMILY_UDP4 = 0x12,
    FAMILY_TCP6 = 0x21,
    FAMILY_UDP6 = 0x22,
    FAMILY_UNIX = 0x31,
    FAMILY_UNIX_DATAGRAM = 0x32,
    UNIX_SIZE = 216,
    TLV_HEAD = 3,
    TLV_CHECKSUM = 0x03,
};

static size_t number16(const char *at)
{
    return (size_t)(unsigned char)at[0] << 8 | (unsigned char)at[1];
}

static void set_ip(struct address *address, const char *ip, size_t size, const char *port)
{
    *address = (struct address){0};
    if (size == 4) {
        address->size = sizeof address->v4;
        address->v4.sin_family = AF_INET;
        memcpy(&address->v4.sin_addr, ip, size);
        memcpy(&address->v4.sin_port, port, 2);
    } else {
        address->size = sizeof address->v6;
        address->v6.sin6_family = AF_INET6;
        memcpy(&address->v6.sin6_addr, ip, size);
        memcpy(&address->v6.sin6_port, port, 2);
    }
}

/* CRC32C (RFC 3720 §12.1), bit by bit: a header is short and the field rare. The checksum's own
 * four bytes, at `hole`, count as zero. */
static uint32_t checksum(struct slice bytes, size_t hole)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes.size; i++) {
        crc ^= i >= hole && i < hole + 4 ? 0 : (unsigned char)bytes.data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
    }
    return ~crc;
}

/* What stands behind the addresses, from `at` on: only the checksum says something to us. */
static enum status check_additions(struct slice header, size_t at)
{
    while (at < header.size) {
        if (header.size - at < TLV_HEAD)
            return INVALID;
        size_t size = number16(header.data + at + 1), value = at + TLV_HEAD;
        if (header.size - value < size)
            return INVALID;
        if (header.data[at] == TLV_CHECKSUM) {
            if (size != 4)
                return INVALID;
            uint32_t said = (uint32_t)number16(header.data + value) << 16 |
                            (uint32_t)number16(header.data + value + 2);
            if (said != checksum(header, value))
                return INVALID;
        }
        at = value + size;
    }
    return OK;
}

static enum status parse_addresses_v2(struct slice whole, struct proxy_header *header)
{
    size_t size = 0; /* of one IP address */
    header->is_local = false;
    switch ((unsigned char)whole.data[13]) {
    case FAMILY_UNKNOWN:
        header->is_local = true;
        return check_additions(whole, HEAD_V2);
    case FAMILY_UNIX:
    case FAMILY_UNIX_DATAGRAM:
        header->is_local = true;
        return whole.size < HEAD_V2 + UNIX_SIZE ? INVALID
                                                : check_additions(whole, HEAD_V2 + UNIX_SIZE);
    case FAMILY_TCP4:
    case FAMILY_UDP4:
        size = 4;
        break;
    case FAMILY_TCP6:
    case FAMILY_UDP6:
        size = 16;
        break;
    default:
        return INVALID;
    }
    size_t behind = HEAD_V2 + 2 * size + PORTS;
    if (whole.size < behind)
        return INVALID;
    const char *at = whole.data + HEAD_V2;
    set_ip(&header->source, at, size, at + 2 * size);
    set_ip(&header->destination, at + size, size, at + 2 * size + 2);
    return check_additions(whole, behind);
}

static enum status parse_v2(struct slice bytes, struct proxy_header *header, size_t *ret_size)
{
    *ret_size = HEAD_V2;
    if (bytes.size < HEAD_V2)
        return INCOMPLETE;
    unsigned char command = (unsigned char)bytes.data[12];
    if (command != COMMAND_LOCAL && command != COMMAND_PROXY)
        return INVALID;
    *ret_size = HEAD_V2 + number16(bytes.data + 14);
    if (*ret_size > PROXY_HEADER_MAX)
        return TOO_LARGE;
    if (bytes.size < *ret_size)
        return INCOMPLETE;
    if (command == COMMAND_PROXY)
        return parse_addresses_v2(slice_head(bytes, *ret_size), header);
    header->is_local = true; /* whatever addresses it carries */
    return OK;
}

/* True when `bytes` are the beginning of `whole`, or the other way round. */
static bool begins_alike(struct slice bytes, struct slice whole)
{
    size_t size = bytes.size < whole.size ? bytes.size : whole.size;
    return slice_equal(slice_head(bytes, size), slice_head(whole, size));
}

enum status proxy_header_parse(
    struct slice bytes, struct proxy_header *ret_header, size_t *ret_size)
{
    struct proxy_header header = {0};
    size_t size = FIRST_LOOK;
    enum status e = INCOMPLETE;
    bool is_v2 = begins_alike(bytes, signature);
    if (!is_v2 && !begins_alike(bytes, word_v1))
        return INVALID;
    if (bytes.size >= FIRST_LOOK)
        e = is_v2 ? parse_v2(bytes, &header, &size) : parse_v1(bytes, &header, &size);
    if (e == OK)
        *ret_header = header;
    if (e == OK || e == INCOMPLETE)
        *ret_size = size;
    return e;
}

/* --- writing */

/* IPv4 clients of a socket that takes both kinds have addresses of the other. */
static bool is_v4(const struct address *address)
{
    return address->any.sa_family == AF_INET ||
           (address->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr));
}

static bool is_ip(const struct address *address)
{
    return address->any.sa_family == AF_INET || address->any.sa_family == AF_INET6;
}

/* 4 or 16 bytes. */
static char *put_ip(char *out, const struct address *address, bool as_v4)
{
    unsigned char bytes[16];
    address_ip_bytes(address, bytes);
    size_t size = as_v4 ? 4 : 16;
    memcpy(out, bytes + 16 - size, size);
    return out + size;
}

static char *put16(char *out, size_t value)
{
    out[0] = (char)(value >> 8);
    out[1] = (char)value;
    return out + 2;
}

static size_t write_v2(const struct address *source, const struct address *destination, char *room)
{
    memcpy(room, signature.data, signature.size);
    room[12] = source ? COMMAND_PROXY : COMMAND_LOCAL;
    if (!source || !is_ip(source) || !is_ip(destination)) {
        room[13] = FAMILY_UNKNOWN;
        put16(room + 14, 0);
        return HEAD_V2;
    }
    bool as_v4 = is_v4(source) && is_v4(destination);
    room[13] = as_v4 ? FAMILY_TCP4 : FAMILY_TCP6;
    put16(room + 14, as_v4 ? 12 : 36);
    char *out = put_ip(room + HEAD_V2, source, as_v4);
    out = put_ip(out, destination, as_v4);
    out = put16(out, address_port(source));
    out = put16(out, address_port(destination));
    return (size_t)(out - room);
}

/* Both of one kind: an IPv4 address beside one of IPv6 is written as ::ffff:1.2.3.4. */
static void add_ip(struct text *text, const struct address *address, bool as_v4)
{
    unsigned char bytes[16];
    address_ip_bytes(address, bytes);
    text_add_char(text, ' ');
    if (!as_v4 && is_v4(address))
        text_format(text, "::ffff:%u.%u.%u.%u", bytes[12], bytes[13], bytes[14], bytes[15]);
    else
        address_format_ip(address, text);
}

static size_t write_v1(const struct address *source, const struct address *destination, char *room)
{
    struct text text = text_fixed(room, PROXY_HEADER_ROOM);
    if (!source || !is_ip(source) || !is_ip(destination)) {
        text_add_literal(&text, "PROXY UNKNOWN\r\n");
        return text.size;
    }
    bool as_v4 = is_v4(source) && is_v4(destination);
    text_format(&text, "PROXY TCP%d", as_v4 ? 4 : 6);
    add_ip(&text, source, as_v4);
    add_ip(&text, destination, as_v4);
    text_format(&text, " %u %u\r\n", address_port(source), address_port(destination));
    return text.size;
}

size_t proxy_header_write(enum proxy_version version, const struct address *source,
    const struct address *destination, char room[PROXY_HEADER_ROOM])
{
    if (version == PROXY_NONE)
        return 0;
    return version == PROXY_V2 ? write_v2(source, destination, room)
                               : write_v1(source, destination, room);
}
