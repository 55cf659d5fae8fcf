/* Writing JSON (RFC 8259) into a `struct text`: commas, colons, quoting and indentation come by
 * themselves.
 *
 *     json_write_object(w);
 *     json_put_text(w, "name", name);
 *     json_put_array(w, "ports");
 *     json_write_u64(w, 80);
 *     json_write_array_end(w);
 *     json_write_object_end(w);
 *
 * Nothing here fails: what does not fit, or nests deeper than JSON_WRITER_DEPTH, sets `failed` in
 * the text, which is looked at once at the end. Calls in an order that cannot become JSON are bugs
 * (must). One thread at a time. */
#pragma once

#include "base/text.h"

#define JSON_WRITER_DEPTH 64

struct json_writer {
    struct text *text; /* borrowed */
    uint64_t objects;  /* a bit for each open level: is it an object? */
    unsigned depth;    /* open levels */
    unsigned indent;   /* blanks a level; 0: everything on one line */
    bool is_first;     /* nothing stands in the innermost level yet */
    bool has_key;      /* a key waits for its value */
};

/* `indent` is 0 for machines, 2 for people. */
void json_writer_init(struct json_writer *writer, struct text *text, unsigned indent);

/* True when one whole value was written and all of it fits. */
bool json_writer_is_done(const struct json_writer *writer);

void json_write_object(struct json_writer *writer);
void json_write_object_end(struct json_writer *writer);
void json_write_array(struct json_writer *writer);
void json_write_array_end(struct json_writer *writer);

/* Only inside an object; the next call writes its value. */
void json_write_key(struct json_writer *writer, struct slice key);

/* Bytes that are not UTF-8 become U+FFFD. */
void json_write_string(struct json_writer *writer, struct slice value);
void json_write_i64(struct json_writer *writer, int64_t value);
void json_write_u64(struct json_writer *writer, uint64_t value);

/* The shortest digits that read back as the same number; null when it is not finite. */
void json_write_double(struct json_writer *writer, double value);
void json_write_bool(struct json_writer *writer, bool value);
void json_write_null(struct json_writer *writer);

/* A value that is JSON already, byte for byte. */
void json_write_raw(struct json_writer *writer, struct slice json);

/* Members: a key with its value, or, of an array or object, what it begins with. */
void json_put_text(struct json_writer *writer, const char *key, struct slice value);
void json_put_i64(struct json_writer *writer, const char *key, int64_t value);
void json_put_u64(struct json_writer *writer, const char *key, uint64_t value);
void json_put_double(struct json_writer *writer, const char *key, double value);
void json_put_bool(struct json_writer *writer, const char *key, bool value);
void json_put_null(struct json_writer *writer, const char *key);
void json_put_raw(struct json_writer *writer, const char *key, struct slice json);
void json_put_time(struct json_writer *writer, const char *key, int64_t wall); /* ISO 8601 */
void json_put_array(struct json_writer *writer, const char *key);
void json_put_object(struct json_writer *writer, const char *key);
