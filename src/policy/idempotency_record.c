#include "policy/idempotency_record.h"

#define MAGIC             "WIK1"
#define MAGIC_SIZE        ((size_t)4)
#define RECORD_FIELDS_MAX ((uint64_t)4096)

/* --- reading */

/* What is read of; `is_bad` once it was not enough. */
struct cursor {
    struct slice rest;
    bool is_bad;
};

static struct slice take(struct cursor *cursor, uint64_t size)
{
    if (cursor->is_bad || size > cursor->rest.size) {
        cursor->is_bad = true;
        return SLICE_NONE;
    }
    struct slice part = slice_head(cursor->rest, (size_t)size);
    cursor->rest = slice_of(cursor->rest.data + size, cursor->rest.size - (size_t)size);
    return part;
}

static uint64_t take_number(struct cursor *cursor, size_t size)
{
    struct slice bytes = take(cursor, size);
    uint64_t number = 0;
    for (size_t i = 0; i < bytes.size; i++)
        number = number << 8 | (unsigned char)bytes.data[i];
    return number;
}

static bool is_hexadecimal(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!strchr("0123456789abcdef", text.data[i]) || !text.data[i])
            return false;
    return text.size > 0;
}

/* A list of fields, each as a message may have it. */
static struct slice take_fields(struct cursor *cursor)
{
    struct slice from = cursor->rest;
    uint64_t count = take_number(cursor, 4);
    cursor->is_bad = cursor->is_bad || count > RECORD_FIELDS_MAX;
    for (uint64_t i = 0; i < count && !cursor->is_bad; i++) {
        struct slice name = take(cursor, take_number(cursor, 4));
        struct slice value = take(cursor, take_number(cursor, 4));
        if (!cursor->is_bad && (!field_name_is_valid(name) || !field_value_is_valid(value)))
            cursor->is_bad = true;
    }
    return cursor->is_bad ? SLICE_NONE : slice_of(from.data + 4, from.size - cursor->rest.size - 4);
}

static void take_answer(struct cursor *cursor, struct idempotency_record *record)
{
    record->status = (int)take_number(cursor, 2);
    record->fields = take_fields(cursor);
    record->trailers = take_fields(cursor);
    record->body = take(cursor, cursor->rest.size);
    bool has_status = record->status >= 200 && record->status <= 999;
    if (!has_status || (record->kind == IDEMPOTENCY_LARGE && record->body.size))
        cursor->is_bad = true;
}

enum status idempotency_record_parse(struct slice bytes, struct idempotency_record *ret_record)
{
    struct cursor cursor = {.rest = bytes};
    struct idempotency_record record = {.status = 0};
    if (!slice_equal(take(&cursor, MAGIC_SIZE), SLICE(MAGIC)))
        return INVALID;
    uint64_t kind = take_number(&cursor, 1);
    record.fingerprint = take(&cursor, IDEMPOTENCY_FINGERPRINT_SIZE);
    record.token = take_number(&cursor, 8);
    record.owner = take_number(&cursor, 8);
    record.begun = (int64_t)take_number(&cursor, 8);
    record.until = (int64_t)take_number(&cursor, 8);
    record.kind = (enum idempotency_kind)kind;
    if (kind == IDEMPOTENCY_DONE || kind == IDEMPOTENCY_LARGE)
        take_answer(&cursor, &record);
    else if (kind != IDEMPOTENCY_RUNNING)
        return INVALID;
    if (cursor.is_bad || cursor.rest.size || !is_hexadecimal(record.fingerprint) ||
        record.begun < 0 || record.until < record.begun)
        return INVALID;
    *ret_record = record;
    return OK;
}

bool idempotency_record_next(struct slice *rest, struct slice *ret_name, struct slice *ret_value)
{
    struct cursor cursor = {.rest = *rest};
    if (rest->size == 0)
        return false;
    struct slice name = take(&cursor, take_number(&cursor, 4));
    struct slice value = take(&cursor, take_number(&cursor, 4));
    *rest = cursor.rest;
    *ret_name = name;
    *ret_value = value;
    return !cursor.is_bad;
}

enum status idempotency_record_read_fields(struct slice rest, struct fields *fields)
{
    struct slice name, value;
    while (idempotency_record_next(&rest, &name, &value)) {
        enum status e = fields_add_checked(fields, field_id_of(name), name, value);
        if (e)
            return e;
    }
    return OK;
}

/* --- writing */

static void add_number(struct text *text, uint64_t number, unsigned size)
{
    for (unsigned i = size; i-- > 0;)
        text_add_char(text, (char)(number >> (8 * i)));
}

static void add_sized(struct text *text, struct slice bytes)
{
    add_number(text, bytes.size, 4);
    text_add(text, bytes);
}

void idempotency_record_write(const struct idempotency_record *record, struct text *text)
{
    text_add_literal(text, MAGIC);
    add_number(text, record->kind, 1);
    text_add(text, record->fingerprint);
    add_number(text, record->token, 8);
    add_number(text, record->owner, 8);
    add_number(text, (uint64_t)record->begun, 8);
    add_number(text, (uint64_t)record->until, 8);
    if (record->kind != IDEMPOTENCY_RUNNING)
        add_number(text, (uint64_t)record->status, 2);
}

/* The same name and value stand there. */
static bool has_field(const struct fields *fields, const struct field *field)
{
    for (uint32_t i = 0; fields && i < fields->count; i++)
        if (slice_equal(fields->items[i].name, field->name) &&
            slice_equal(fields->items[i].value, field->value))
            return true;
    return false;
}

static bool is_kept(const struct field *field, const struct fields *without)
{
    return field->name.size && field->id != FIELD_CONTENT_LENGTH && !has_field(without, field);
}

void idempotency_record_write_fields(
    const struct fields *fields, const struct fields *without, struct text *text)
{
    uint64_t count = 0;
    for (uint32_t i = 0; fields && i < fields->count; i++)
        count += is_kept(&fields->items[i], without);
    add_number(text, count, 4);
    for (uint32_t i = 0; fields && i < fields->count; i++)
        if (is_kept(&fields->items[i], without)) {
            add_sized(text, fields->items[i].name);
            add_sized(text, fields->items[i].value);
        }
}
