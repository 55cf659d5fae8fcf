#include "service/load_report.h"

#include "base/base64.h"
#include "base/json.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#define FIELD        SLICE("endpoint-load-metrics")
#define FIELD_BINARY SLICE("endpoint-load-metrics-bin")

/* --- metrics */

struct metric {
    const char *name, *json_name;
    uint32_t number; /* of the message's field */
    size_t member;
};

static const struct metric metrics[] = {
    {"cpu_utilization", "cpuUtilization", 1, offsetof(struct load_report, cpu)},
    {"mem_utilization", "memUtilization", 2, offsetof(struct load_report, memory)},
    {"rps", "rps", 3, offsetof(struct load_report, rate)},
    {"rps_fractional", "rpsFractional", 6, offsetof(struct load_report, rate)},
    {"eps", "eps", 7, offsetof(struct load_report, errors)},
    {"application_utilization", "applicationUtilization", 9,
        offsetof(struct load_report, application)},
};

/* Maps of the message, whose members are known by the map's name, a dot and their own. */
struct metric_map {
    const char *name, *json_name;
    uint32_t number;
};

static const struct metric_map maps[] = {{"request_cost", "requestCost", 4},
    {"utilization", "utilization", 5}, {"named_metrics", "namedMetrics", 8}};

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct reading {
    struct slice wanted;
    struct load_report report;
};

static enum status take(struct reading *reading, const struct metric *metric, double value)
{
    if (!isfinite(value) || value < 0)
        return INVALID;
    *(double *)(void *)((char *)&reading->report + metric->member) = value;
    if (slice_equal(reading->wanted, slice_of_text(metric->name)))
        reading->report.wanted = value;
    return OK;
}

/* Whether the wanted metric is the member `key` of that map. */
static bool is_wanted(const struct reading *reading, const struct metric_map *map, struct slice key)
{
    struct slice name = slice_of_text(map->name), wanted = reading->wanted;
    return wanted.size == name.size + 1 + key.size && slice_has_prefix(wanted, name) &&
           wanted.data[name.size] == '.' && slice_has_suffix(wanted, key);
}

static enum status take_member(
    struct reading *reading, const struct metric_map *map, struct slice key, double value)
{
    if (!isfinite(value))
        return INVALID;
    if (is_wanted(reading, map, key))
        reading->report.wanted = value > 0 ? value : 0;
    return OK;
}

static enum status parse_number(struct slice text, double *ret_value)
{
    char room[48], *end;
    if (text.size == 0 || text.size >= sizeof room)
        return INVALID;
    for (size_t i = 0; i < text.size; i++)
        if (!memchr("0123456789.eE+-", text.data[i], 15))
            return INVALID;
    memcpy(room, text.data, text.size);
    room[text.size] = '\0';
    *ret_value = strtod(room, &end);
    return *end ? INVALID : OK;
}

/* --- text */

/* Metrics that newer endpoints may have, too. */
static enum status take_named(struct reading *reading, struct slice name, double value)
{
    for (size_t i = 0; i < COUNT(metrics); i++)
        if (slice_equal(name, slice_of_text(metrics[i].name)))
            return take(reading, &metrics[i], value);
    size_t dot = slice_find(name, '.');
    for (size_t i = 0; i < COUNT(maps) && dot < name.size; i++)
        if (slice_equal(slice_head(name, dot), slice_of_text(maps[i].name)))
            return take_member(reading, &maps[i], slice_from(name, dot + 1), value);
    return isfinite(value) ? OK : INVALID;
}

/* "name=0.5, name=7"; earlier endpoints wrote colons. */
static enum status parse_text(struct slice text, struct reading *reading)
{
    struct slice rest = text, part;
    while (slice_split(&rest, ',', &part)) {
        double value;
        size_t mark = slice_find(part, '=');
        if (mark == part.size)
            mark = slice_find(part, ':');
        if (mark == part.size || parse_number(slice_trim(slice_from(part, mark + 1)), &value))
            return INVALID;
        enum status e = take_named(reading, slice_trim(slice_head(part, mark)), value);
        if (e)
            return e;
    }
    return OK;
}

/* --- JSON */

/* A number, which may be in quotes. */
static enum status number_of(const struct json_value *value, double *ret_value)
{
    if (value->type != JSON_NUMBER && value->type != JSON_STRING)
        return INVALID;
    return parse_number(value->text, ret_value);
}

static bool is_named(struct slice key, const char *name, const char *json_name)
{
    return slice_equal(key, slice_of_text(name)) || slice_equal(key, slice_of_text(json_name));
}

static enum status take_json_map(
    struct reading *reading, const struct metric_map *map, const struct json_value *object)
{
    enum status e = object->type == JSON_OBJECT ? OK : INVALID;
    if (e)
        return e;
    json_each (member, object) {
        double value;
        e = number_of(member, &value);
        if (!e)
            e = take_member(reading, map, member->key, value);
        if (e)
            return e;
    }
    return OK;
}

static enum status take_json(struct reading *reading, const struct json_value *member)
{
    for (size_t i = 0; i < COUNT(metrics); i++) {
        double value;
        if (!is_named(member->key, metrics[i].name, metrics[i].json_name))
            continue;
        return number_of(member, &value) ? INVALID : take(reading, &metrics[i], value);
    }
    for (size_t i = 0; i < COUNT(maps); i++)
        if (is_named(member->key, maps[i].name, maps[i].json_name))
            return take_json_map(reading, &maps[i], member);
    return OK;
}

static enum status parse_json(struct arena *arena, struct slice text, struct reading *reading)
{
    struct json_value *root;
    enum status e = json_parse(arena, text, NULL, &root, NULL);
    if (e)
        return e == NO_MEMORY ? e : INVALID;
    if (root->type != JSON_OBJECT)
        return INVALID;
    json_each (member, root) {
        e = take_json(reading, member);
        if (e)
            return e;
    }
    return OK;
}

/* --- binary: the encoding of protocol buffers */

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_field {
    uint32_t number;
    unsigned type; /* enum wire_type */
    uint64_t value;
    struct slice bytes; /* of WIRE_BYTES */
};

static bool take_bytes(struct slice *rest, uint64_t size, struct slice *ret_bytes)
{
    if (size > rest->size)
        return false;
    *ret_bytes = slice_head(*rest, (size_t)size);
    *rest = slice_from(*rest, (size_t)size);
    return true;
}

static bool take_varint(struct slice *rest, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && rest->size; shift += 7) {
        unsigned char byte = (unsigned char)rest->data[0];
        *rest = slice_from(*rest, 1);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool take_fixed(struct slice *rest, size_t size, uint64_t *ret_value)
{
    struct slice bytes;
    uint64_t value = 0;
    if (!take_bytes(rest, size, &bytes))
        return false;
    for (size_t i = size; i-- > 0;)
        value = value << 8 | (unsigned char)bytes.data[i];
    *ret_value = value;
    return true;
}

static bool take_field(struct slice *rest, struct wire_field *field)
{
    uint64_t tag, size;
    if (!take_varint(rest, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
        return false;
    *field = (struct wire_field){.number = (uint32_t)(tag >> 3), .type = tag & 7};
    switch (field->type) {
    case WIRE_VARINT:
        return take_varint(rest, &field->value);
    case WIRE_FIXED64:
        return take_fixed(rest, 8, &field->value);
    case WIRE_FIXED32:
        return take_fixed(rest, 4, &field->value);
    case WIRE_BYTES:
        return take_varint(rest, &size) && take_bytes(rest, size, &field->bytes);
    default:
        return false;
    }
}

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* An entry of a map: 1 is the key, 2 the value. */
static enum status take_entry(
    struct reading *reading, const struct metric_map *map, struct slice bytes)
{
    struct slice key = SLICE("");
    double value = 0;
    while (bytes.size) {
        struct wire_field field;
        if (!take_field(&bytes, &field))
            return INVALID;
        if (field.number == 1 && field.type == WIRE_BYTES)
            key = field.bytes;
        if (field.number == 2 && field.type == WIRE_FIXED64)
            value = double_of(field.value);
    }
    return take_member(reading, map, key, value);
}

static enum status take_wire(struct reading *reading, const struct wire_field *field)
{
    for (size_t i = 0; i < COUNT(metrics); i++) {
        if (metrics[i].number != field->number)
            continue;
        if (field->type == WIRE_VARINT)
            return take(reading, &metrics[i], (double)field->value);
        return field->type == WIRE_FIXED64 ? take(reading, &metrics[i], double_of(field->value))
                                           : INVALID;
    }
    for (size_t i = 0; i < COUNT(maps); i++)
        if (maps[i].number == field->number)
            return field->type == WIRE_BYTES ? take_entry(reading, &maps[i], field->bytes)
                                             : INVALID;
    return OK;
}

static enum status parse_binary(struct arena *arena, struct slice text, struct reading *reading)
{
    size_t size;
    char *bytes = arena_bytes(arena, base64_decoded_size(text.size) + 1);
    if (!bytes)
        return NO_MEMORY;
    if (!base64_decode(text, BASE64_LENIENT, bytes, &size))
        return INVALID;
    struct slice rest = slice_of(bytes, size);
    while (rest.size) {
        struct wire_field field;
        enum status e = take_field(&rest, &field) ? take_wire(reading, &field) : INVALID;
        if (e)
            return e;
    }
    return OK;
}

/* --- the whole */

enum status load_report_parse(struct arena *arena, enum load_report_form form, struct slice text,
    struct slice wanted, struct load_report *ret_report)
{
    struct reading reading = {.wanted = wanted};
    enum status e = INVALID;
    if (form == LOAD_REPORT_TEXT)
        e = parse_text(text, &reading);
    else if (form == LOAD_REPORT_JSON)
        e = parse_json(arena, text, &reading);
    else
        e = parse_binary(arena, text, &reading);
    if (!e)
        *ret_report = reading.report;
    return e;
}

static const struct form {
    struct slice word;
    enum load_report_form form;
} forms[] = {{SLICE_INIT("TEXT "), LOAD_REPORT_TEXT}, {SLICE_INIT("JSON "), LOAD_REPORT_JSON},
    {SLICE_INIT("BIN "), LOAD_REPORT_BINARY}};

enum status load_report_read(
    const struct fields *fields, struct slice wanted, struct load_report *ret_report)
{
    struct slice value = fields_value_named(fields, FIELD_BINARY);
    if (value.data)
        return load_report_parse(fields->arena, LOAD_REPORT_BINARY, value, wanted, ret_report);
    value = fields_value_named(fields, FIELD);
    if (!value.data)
        return NOT_FOUND;
    for (size_t i = 0; i < COUNT(forms); i++)
        if (slice_has_prefix(value, forms[i].word))
            return load_report_parse(fields->arena, forms[i].form,
                slice_trim(slice_from(value, forms[i].word.size)), wanted, ret_report);
    return load_report_parse(fields->arena, LOAD_REPORT_TEXT, value, wanted, ret_report);
}

void load_report_remove(struct fields *fields)
{
    fields_remove(fields, FIELD);
    fields_remove(fields, FIELD_BINARY);
}

bool load_report_has_metric(struct slice name)
{
    for (size_t i = 0; i < COUNT(metrics); i++)
        if (slice_equal(name, slice_of_text(metrics[i].name)))
            return true;
    size_t dot = slice_find(name, '.');
    for (size_t i = 0; i < COUNT(maps); i++)
        if (dot + 1 < name.size && slice_equal(slice_head(name, dot), slice_of_text(maps[i].name)))
            return true;
    return false;
}
