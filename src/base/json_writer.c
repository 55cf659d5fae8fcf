#include "base/json_writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/must.h"

void json_writer_init(struct json_writer *writer, struct text *text, unsigned indent)
{
    *writer = (struct json_writer){.text = text, .indent = indent, .is_first = true};
}

bool json_writer_is_done(const struct json_writer *writer)
{
    return writer->depth == 0 && !writer->is_first && !writer->text->failed;
}

/* What lies deeper than the bits reach is counted, so that its ends still match, and not written.
 */
static bool is_too_deep(const struct json_writer *writer)
{
    return writer->depth > JSON_WRITER_DEPTH;
}

static bool is_in_object(const struct json_writer *writer)
{
    return writer->depth && writer->objects >> (writer->depth - 1) & 1;
}

static void new_line(struct json_writer *writer)
{
    if (!writer->indent)
        return;
    text_add_char(writer->text, '\n');
    for (unsigned i = 0; i < writer->depth * writer->indent; i++)
        text_add_char(writer->text, ' ');
}

static void begin_member(struct json_writer *writer)
{
    must(writer->depth || writer->is_first);
    if (!writer->is_first)
        text_add_char(writer->text, ',');
    if (writer->depth)
        new_line(writer);
    writer->is_first = false;
}

/* False when the value is to be dropped. */
static bool begin_value(struct json_writer *writer)
{
    if (is_too_deep(writer))
        return false;
    must(writer->has_key == is_in_object(writer));
    if (!writer->has_key)
        begin_member(writer);
    writer->has_key = false;
    return true;
}

static void open_level(struct json_writer *writer, bool is_object)
{
    bool is_written = begin_value(writer);
    writer->depth++;
    if (!is_written || is_too_deep(writer)) {
        writer->text->failed = true;
        return;
    }
    uint64_t bit = (uint64_t)1 << (writer->depth - 1);
    writer->objects = is_object ? writer->objects | bit : writer->objects & ~bit;
    writer->is_first = true;
    text_add_char(writer->text, is_object ? '{' : '[');
}

static void close_level(struct json_writer *writer, bool is_object)
{
    if (is_too_deep(writer)) {
        writer->depth--;
        return;
    }
    must(writer->depth && is_in_object(writer) == is_object && !writer->has_key);
    writer->depth--;
    if (!writer->is_first)
        new_line(writer);
    text_add_char(writer->text, is_object ? '}' : ']');
    writer->is_first = false;
}

void json_write_object(struct json_writer *writer)
{
    open_level(writer, true);
}

void json_write_object_end(struct json_writer *writer)
{
    close_level(writer, true);
}

void json_write_array(struct json_writer *writer)
{
    open_level(writer, false);
}

void json_write_array_end(struct json_writer *writer)
{
    close_level(writer, false);
}

static void add_quoted(struct text *text, struct slice s)
{
    text_add_char(text, '"');
    text_add_json(text, s);
    text_add_char(text, '"');
}

void json_write_key(struct json_writer *writer, struct slice key)
{
    if (is_too_deep(writer))
        return;
    must(is_in_object(writer) && !writer->has_key);
    begin_member(writer);
    add_quoted(writer->text, key);
    text_add_char(writer->text, ':');
    if (writer->indent)
        text_add_char(writer->text, ' ');
    writer->has_key = true;
}

void json_write_string(struct json_writer *writer, struct slice value)
{
    if (begin_value(writer))
        add_quoted(writer->text, value);
}

void json_write_i64(struct json_writer *writer, int64_t value)
{
    if (begin_value(writer))
        text_add_i64(writer->text, value);
}

void json_write_u64(struct json_writer *writer, uint64_t value)
{
    if (begin_value(writer))
        text_add_u64(writer->text, value);
}

void json_write_double(struct json_writer *writer, double value)
{
    if (!isfinite(value)) {
        json_write_null(writer);
        return;
    }
    char digits[32];
    int size = 0;
    for (int precision = 15; precision <= 17; precision++) {
        size = snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    json_write_raw(writer, slice_of(digits, (size_t)size));
}

void json_write_bool(struct json_writer *writer, bool value)
{
    json_write_raw(writer, value ? SLICE("true") : SLICE("false"));
}

void json_write_null(struct json_writer *writer)
{
    json_write_raw(writer, SLICE("null"));
}

void json_write_raw(struct json_writer *writer, struct slice json)
{
    if (begin_value(writer))
        text_add(writer->text, json);
}

static void put_key(struct json_writer *writer, const char *key)
{
    json_write_key(writer, slice_of_text(key));
}

void json_put_text(struct json_writer *writer, const char *key, struct slice value)
{
    put_key(writer, key);
    json_write_string(writer, value);
}

void json_put_i64(struct json_writer *writer, const char *key, int64_t value)
{
    put_key(writer, key);
    json_write_i64(writer, value);
}

void json_put_u64(struct json_writer *writer, const char *key, uint64_t value)
{
    put_key(writer, key);
    json_write_u64(writer, value);
}

void json_put_double(struct json_writer *writer, const char *key, double value)
{
    put_key(writer, key);
    json_write_double(writer, value);
}

void json_put_bool(struct json_writer *writer, const char *key, bool value)
{
    put_key(writer, key);
    json_write_bool(writer, value);
}

void json_put_null(struct json_writer *writer, const char *key)
{
    put_key(writer, key);
    json_write_null(writer);
}

void json_put_raw(struct json_writer *writer, const char *key, struct slice json)
{
    put_key(writer, key);
    json_write_raw(writer, json);
}

void json_put_time(struct json_writer *writer, const char *key, int64_t wall)
{
    char time[ISO_TIME_SIZE];
    clock_iso_time(wall, time);
    json_put_text(writer, key, slice_of(time, sizeof time));
}

void json_put_array(struct json_writer *writer, const char *key)
{
    put_key(writer, key);
    json_write_array(writer);
}

void json_put_object(struct json_writer *writer, const char *key)
{
    put_key(writer, key);
    json_write_object(writer);
}
