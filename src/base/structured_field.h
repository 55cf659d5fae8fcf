/* Structured fields (RFC 9651): the one grammar of RateLimit, Proxy-Status, Cache-Status,
 * Idempotency-Key, Priority …
 *
 * A field is an item, a list or a dictionary. A member of a list or dictionary is an item or an
 * inner list of items; each may carry parameters. A field that stands on several lines is joined
 * with ", " before it is parsed. One malformed byte makes the whole field invalid, and a reader
 * then ignores it (§4.2).
 *
 * What is parsed lives as long as the arena and the text. */
#pragma once

#include "base/arena.h"
#include "base/status.h"
#include "base/text.h"

/* What every reader has to take (§3); more is TOO_LARGE. They keep the search for repeated keys
 * short. */
#define STRUCTURED_MEMBERS_MAX    1024
#define STRUCTURED_ITEMS_MAX      256
#define STRUCTURED_PARAMETERS_MAX 256

enum structured_type {
    STRUCTURED_INTEGER,    /* number: at most 15 digits */
    STRUCTURED_DECIMAL,    /* number: thousandths, at most 12 digits before the point */
    STRUCTURED_STRING,     /* text: printable ASCII */
    STRUCTURED_TOKEN,      /* text: as written */
    STRUCTURED_BYTES,      /* text: any bytes, decoded */
    STRUCTURED_BOOLEAN,    /* number: 0 or 1 */
    STRUCTURED_DATE,       /* number: seconds since 1970 */
    STRUCTURED_DISPLAY,    /* text: UTF-8, decoded */
    STRUCTURED_INNER_LIST, /* of members only: their items */
};

struct structured_value {
    enum structured_type type;
    int64_t number;
    struct slice text;
};

struct structured_parameter {
    struct slice key;
    struct structured_value value;
    struct structured_parameter *next;
};

struct structured_member {
    struct slice key; /* in a dictionary */
    struct structured_value value;
    struct structured_member *items; /* of an inner list: its first */
    struct structured_parameter *parameters;
    struct structured_member *next;
};

/* Each reads the whole text: OK, INVALID, TOO_LARGE or NO_MEMORY. The first member of an empty list
 * or dictionary is NULL. Of a repeated key the last value counts, in the place of the first. */
enum status structured_parse_item(
    struct arena *arena, struct slice text, struct structured_member *ret_item);
enum status structured_parse_list(
    struct arena *arena, struct slice text, struct structured_member **ret_first);
enum status structured_parse_dictionary(
    struct arena *arena, struct slice text, struct structured_member **ret_first);

/* The member of a dictionary, or the parameter of a member, with that key; NULL when there is none.
 */
const struct structured_member *structured_get(
    const struct structured_member *first, struct slice key);
const struct structured_value *structured_get_parameter(
    const struct structured_member *member, struct slice key);

/* Values to write. */
static inline struct structured_value structured_integer(int64_t number)
{
    return (struct structured_value){.type = STRUCTURED_INTEGER, .number = number};
}

static inline struct structured_value structured_string(struct slice text)
{
    return (struct structured_value){.type = STRUCTURED_STRING, .text = text};
}

static inline struct structured_value structured_token(struct slice text)
{
    return (struct structured_value){.type = STRUCTURED_TOKEN, .text = text};
}

static inline struct structured_value structured_boolean(bool value)
{
    return (struct structured_value){.type = STRUCTURED_BOOLEAN, .number = value};
}

/* Rounded to thousandths, half to even; out of range (which writing refuses) when it is no number.
 */
struct structured_value structured_decimal(double number);

/* Piece by piece, for fields whose shape the program knows:
 *
 *     structured_write_value(text, structured_string(name));
 *     structured_write_parameter(text, SLICE("r"), structured_integer(rest));
 *
 * Each appends to the text, or returns INVALID and appends nothing when the value cannot be written
 * (§4.1): a string that is not ASCII, a token with a blank, a number out of range. */
enum status structured_write_value(struct text *text, struct structured_value value);
enum status structured_write_key(struct text *text, struct slice key);
enum status structured_write_parameter(
    struct text *text, struct slice key, struct structured_value value);

/* A whole field. An empty list or dictionary has no text: the field is left out. */
enum status structured_write_item(struct text *text, const struct structured_member *item);
enum status structured_write_list(struct text *text, const struct structured_member *first);
enum status structured_write_dictionary(struct text *text, const struct structured_member *first);
