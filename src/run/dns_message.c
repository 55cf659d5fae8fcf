#include "run/dns_message.h"

#include <arpa/inet.h>
#include <ctype.h>

#define HEAD_SIZE     12
#define NAME_MAX_SIZE 253
#define LABELS_MAX    128
#define POINTER       0xc0 /* the two upper bits of a length */
#define TYPE_A        1
#define TYPE_AAAA     28
#define TYPE_SRV      33
#define CLASS_IN      1
#define SRV_FIXED     6 /* bytes before the target */

struct cursor {
    struct slice message;
    size_t at;
    struct arena *arena;
};

static bool has(const struct cursor *c, size_t size)
{
    return size <= c->message.size - c->at;
}

static unsigned byte_at(const struct cursor *c, size_t at)
{
    return (unsigned char)c->message.data[at];
}

/* The caller has looked whether it is there. */
static uint16_t take_u16(struct cursor *c)
{
    unsigned value = byte_at(c, c->at) << 8 | byte_at(c, c->at + 1);
    c->at += 2;
    return (uint16_t)value;
}

static uint32_t take_u32(struct cursor *c)
{
    uint32_t high = take_u16(c);
    return high << 16 | take_u16(c);
}

static bool is_label(struct slice label)
{
    for (size_t i = 0; i < label.size; i++)
        if (!isalnum((unsigned char)label.data[i]) && label.data[i] != '-' && label.data[i] != '_')
            return false;
    return true;
}

/* Labels up to the root. `at` follows pointers; `*ret_end` is behind the name where it stands. */
static enum status walk_name(const struct cursor *c, struct text *name, size_t *ret_end)
{
    size_t at = c->at, limit = c->message.size;
    bool has_jumped = false;
    for (unsigned labels = 0; labels < LABELS_MAX && at < limit; labels++) {
        unsigned length = byte_at(c, at);
        if ((length & POINTER) == POINTER) {
            if (at + 1 >= limit)
                return INVALID;
            size_t target = (length & ~(unsigned)POINTER) << 8 | byte_at(c, at + 1);
            if (!has_jumped)
                *ret_end = at + 2;
            has_jumped = true;
            if (target >= at)
                return INVALID;
            at = target;
            continue;
        }
        if (length & POINTER || length > limit - at - 1)
            return INVALID;
        if (length == 0) {
            if (!has_jumped)
                *ret_end = at + 1;
            return name->failed ? INVALID : OK;
        }
        struct slice label = slice_of(c->message.data + at + 1, length);
        if (!is_label(label))
            return INVALID;
        if (name->size)
            text_add_char(name, '.');
        text_add(name, label);
        at += length + 1;
    }
    return INVALID;
}

static enum status take_name(struct cursor *c, struct slice *ret_name)
{
    char room[NAME_MAX_SIZE];
    struct text name = text_fixed(room, sizeof room);
    size_t end = 0;
    enum status e = walk_name(c, &name, &end);
    if (e)
        return e;
    *ret_name = arena_copy(c->arena, text_slice(&name));
    c->at = end;
    return ret_name->data ? OK : NO_MEMORY;
}

/* A name that nobody needs may have any bytes in it. */
static enum status skip_name(struct cursor *c)
{
    for (unsigned labels = 0; labels < LABELS_MAX && has(c, 1); labels++) {
        unsigned length = byte_at(c, c->at);
        bool is_pointer = (length & POINTER) == POINTER;
        size_t size = is_pointer ? 2 : length + 1;
        if ((!is_pointer && length & POINTER) || !has(c, size))
            return INVALID;
        c->at += size;
        if (is_pointer || length == 0)
            return OK;
    }
    return INVALID;
}

struct record {
    size_t name; /* where its name begins */
    uint16_t type, class;
    uint32_t ttl;
    size_t data, size;
};

static enum status take_record(struct cursor *c, struct record *record)
{
    record->name = c->at;
    enum status e = skip_name(c);
    if (e || !has(c, 10))
        return INVALID;
    record->type = take_u16(c);
    record->class = take_u16(c);
    record->ttl = take_u32(c);
    record->size = take_u16(c);
    record->data = c->at;
    if (!has(c, record->size))
        return INVALID;
    c->at += record->size;
    return OK;
}

static enum status read_srv(
    const struct cursor *c, const struct record *record, struct dns_srv *ret_srv)
{
    struct cursor data = *c;
    struct dns_srv srv = {.ttl = record->ttl};
    data.at = record->data;
    if (record->size <= SRV_FIXED)
        return INVALID;
    srv.priority = take_u16(&data);
    srv.weight = take_u16(&data);
    srv.port = take_u16(&data);
    enum status e = take_name(&data, &srv.target);
    if (!e && data.at != record->data + record->size)
        e = INVALID;
    if (!e)
        *ret_srv = srv;
    return e;
}

static enum status read_address(
    const struct cursor *c, const struct record *record, struct dns_address *ret_address)
{
    struct cursor name = *c;
    bool is_v6 = record->type == TYPE_AAAA;
    const char *bytes = c->message.data + record->data;
    struct dns_address found = {.ttl = record->ttl};
    if (record->size != (is_v6 ? 16u : 4u))
        return INVALID;
    if (is_v6) {
        found.address.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
        memcpy(&found.address.v6.sin6_addr, bytes, 16);
        found.address.size = sizeof found.address.v6;
    } else {
        found.address.v4 = (struct sockaddr_in){.sin_family = AF_INET};
        memcpy(&found.address.v4.sin_addr, bytes, 4);
        found.address.size = sizeof found.address.v4;
    }
    name.at = record->name;
    enum status e = take_name(&name, &found.name);
    if (!e)
        *ret_address = found;
    return e;
}

static enum status take_answers(struct cursor *c, unsigned count, struct dns_srv_answer *answer)
{
    enum status e = OK;
    for (unsigned i = 0; !e && i < count; i++) {
        struct record record;
        e = take_record(c, &record);
        if (!e && record.type == TYPE_SRV && record.class == CLASS_IN &&
            answer->count < DNS_RECORDS_MAX)
            e = read_srv(c, &record, &answer->records[answer->count++]);
    }
    return e;
}

/* An odd one among them is left out: its address is asked for then. */
static enum status take_addresses(struct cursor *c, unsigned count, struct dns_srv_answer *answer)
{
    enum status e = OK;
    for (unsigned i = 0; !e && i < count; i++) {
        struct record record = {0};
        e = take_record(c, &record);
        bool is_address = record.type == TYPE_A || record.type == TYPE_AAAA;
        if (e || !is_address || record.class != CLASS_IN ||
            answer->address_count == DNS_RECORDS_MAX)
            continue;
        e = read_address(c, &record, &answer->addresses[answer->address_count]);
        answer->address_count += !e;
        e = e == INVALID ? OK : e;
    }
    return e;
}

static size_t bounded(size_t count)
{
    return count < DNS_RECORDS_MAX ? count : DNS_RECORDS_MAX;
}

enum status dns_read_srv(
    struct arena *arena, struct slice message, struct dns_srv_answer *ret_answer)
{
    struct cursor c = {message, 4, arena};
    struct dns_srv_answer answer = {NULL, 0, NULL, 0};
    struct record passed;
    if (message.size < HEAD_SIZE)
        return INVALID;
    unsigned questions = take_u16(&c), answers = take_u16(&c), authorities = take_u16(&c),
             additional = take_u16(&c);
    /* A record takes 11 bytes at least, so that a small message asks for little memory. */
    answer.records = arena_array(arena, bounded(message.size / 11) + 1, sizeof *answer.records);
    answer.addresses = arena_array(arena, bounded(message.size / 11) + 1, sizeof *answer.addresses);
    enum status e = answer.records && answer.addresses ? OK : NO_MEMORY;
    for (unsigned i = 0; !e && i < questions; i++) {
        e = skip_name(&c);
        if (!e && !has(&c, 4))
            e = INVALID;
        if (!e)
            c.at += 4;
    }
    if (!e)
        e = take_answers(&c, answers, &answer);
    for (unsigned i = 0; !e && i < authorities; i++)
        e = take_record(&c, &passed);
    if (!e)
        e = take_addresses(&c, additional, &answer);
    if (!e)
        *ret_answer = answer;
    return e;
}
