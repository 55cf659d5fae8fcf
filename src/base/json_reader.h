/* Reading JSON (RFC 8259, strictly) one event at a time, without copying.
 *
 *     json_reader_init(&reader, text, NULL);
 *     while (!(e = json_next(&reader, &token)))
 *         switch (token.event) ...
 *     if (e != END)
 *         json_reader_position(&reader) and reader.message say where and what
 *
 * Keys, strings and numbers are slices of the text as written; they are converted when somebody
 * asks. Strings are checked as they pass: UTF-8, escapes, no lone surrogates, no control bytes.
 * Nothing is trusted, nothing recurses, and the reader takes no memory.
 *
 * Text that arrives in pieces: begin with an empty text and feed. When json_next says INCOMPLETE,
 * hand in a new slice that begins with json_reader_rest() and goes further. A token that is cut is
 * read again from its beginning, so feed in pieces of a decent size. */
#pragma once

#include "base/arena.h"
#include "base/status.h"

#define JSON_DEPTH_DEFAULT 64
#define JSON_DEPTH_MAX     1024
#define JSON_SIZE_DEFAULT  ((size_t)64 << 20)

/* 0 means the default. */
struct json_limits {
    size_t size;               /* bytes of the whole text */
    unsigned depth;            /* open objects and arrays, at most JSON_DEPTH_MAX */
    bool allow_duplicate_keys; /* json_parse only: the last one counts; else they are refused */
};

struct json_position {
    size_t offset; /* bytes from the beginning */
    size_t line;   /* from 1 */
    size_t column; /* characters, from 1 */
};

enum json_event {
    JSON_EVENT_OBJECT,
    JSON_EVENT_OBJECT_END,
    JSON_EVENT_ARRAY,
    JSON_EVENT_ARRAY_END,
    JSON_EVENT_KEY,
    JSON_EVENT_STRING,
    JSON_EVENT_NUMBER,
    JSON_EVENT_TRUE,
    JSON_EVENT_FALSE,
    JSON_EVENT_NULL,
};

struct json_token {
    enum json_event event;
    bool has_escapes; /* of a key or string: raw is not yet the text */
    size_t offset;    /* where it begins, bytes from the beginning */
    struct slice raw; /* as written, a string without its quotes; borrowed from the text */
};

struct json_reader {
    struct slice text;  /* borrowed: what was fed last */
    size_t at;          /* in text */
    bool is_last;       /* no more text will come */
    unsigned char next; /* what may come: the reader's own */
    unsigned depth;     /* open objects and arrays */
    struct json_limits limits;
    struct json_position before; /* of text's first byte */
    enum status failure;         /* INVALID or TOO_LARGE, once it has come to that */
    const char *message;         /* then: what is wrong, a sentence without full stop */
    uint64_t objects[JSON_DEPTH_MAX / 64];
};

/* Reads `text`, which is whole and stays as long as the reader and its tokens. `limits` may be
 * NULL. */
void json_reader_init(
    struct json_reader *reader, struct slice text, const struct json_limits *limits);

/* Reads pieces: json_reader_feed brings the first. */
void json_reader_init_pieces(struct json_reader *reader, const struct json_limits *limits);

/* `text` begins with the bytes of json_reader_rest; `is_last` says that nothing follows it. */
void json_reader_feed(struct json_reader *reader, struct slice text, bool is_last);

/* What is not consumed yet. */
struct slice json_reader_rest(const struct json_reader *reader);

/* The next event; END after the whole text, INCOMPLETE when more must be fed; INVALID, or TOO_LARGE
 * when a limit is passed, each for good. */
enum status json_next(struct json_reader *reader, struct json_token *ret_token);

/* Goes past the value whose first event `token` is (after a key: the one that follows). OK or what
 * json_next says. Only for text that is whole. */
enum status json_skip(struct json_reader *reader, const struct json_token *token);

/* Where the reader stands: after an error, where that is. Walks the text: for messages only. */
struct json_position json_reader_position(const struct json_reader *reader);

/* The position of a token whose bytes have not been replaced by feeding. */
struct json_position json_position_of(const struct json_reader *reader, size_t offset);

/* The text of a key or string: the raw slice itself when nothing is escaped, else decoded into the
 * arena. NO_MEMORY. */
enum status json_text(const struct json_token *token, struct arena *arena, struct slice *ret_text);

/* Is the text of the key or string equal to `text`? Needs no memory. */
bool json_text_equal(const struct json_token *token, struct slice text);

/* Of a number as written. INVALID when it has a fraction or an exponent, TOO_LARGE when it does not
 * fit. */
enum status json_to_i64(struct slice number, int64_t *ret_value);

/* The nearest double, TOO_LARGE when that would be infinite. (NO_MEMORY for a number of monstrous
 * length.) */
enum status json_to_double(struct slice number, double *ret_value);
