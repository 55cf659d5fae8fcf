#include "base/json_reader.h"

#include "base/json_scan.h"
#include "base/must.h"

/* What the grammar allows at this place. */
enum next {
    NEXT_VALUE,
    NEXT_VALUE_OR_END, /* behind [ */
    NEXT_KEY,
    NEXT_KEY_OR_END, /* behind { */
    NEXT_COLON,
    NEXT_COMMA_OR_END,
    NEXT_NOTHING, /* behind the outermost value */
};

void json_reader_init_pieces(struct json_reader *reader, const struct json_limits *limits)
{
    *reader = (struct json_reader){.next = NEXT_VALUE, .before = {0, 1, 1}};
    if (limits)
        reader->limits = *limits;
    if (!reader->limits.size)
        reader->limits.size = JSON_SIZE_DEFAULT;
    if (!reader->limits.depth)
        reader->limits.depth = JSON_DEPTH_DEFAULT;
    if (reader->limits.depth > JSON_DEPTH_MAX)
        reader->limits.depth = JSON_DEPTH_MAX;
}

void json_reader_init(
    struct json_reader *reader, struct slice text, const struct json_limits *limits)
{
    json_reader_init_pieces(reader, limits);
    json_reader_feed(reader, text, true);
}

static enum status fail(struct json_reader *reader, enum status failure, const char *message)
{
    reader->failure = failure;
    reader->message = message;
    return failure;
}

void json_reader_feed(struct json_reader *reader, struct slice text, bool is_last)
{
    reader->before = json_reader_position(reader);
    reader->text = text;
    reader->at = 0;
    reader->is_last = is_last;
    if (!reader->failure && text.size > reader->limits.size - reader->before.offset)
        fail(reader, TOO_LARGE, "the text is larger than its limit");
}

struct slice json_reader_rest(const struct json_reader *reader)
{
    return slice_from(reader->text, reader->at);
}

struct json_position json_position_of(const struct json_reader *reader, size_t offset)
{
    struct json_position position = reader->before;
    must(offset >= position.offset && offset - position.offset <= reader->text.size);
    for (size_t i = 0; position.offset < offset; i++, position.offset++) {
        unsigned char c = (unsigned char)reader->text.data[i];
        if (c == '\n') {
            position.line++;
            position.column = 1;
        } else if ((c & 0xc0) != 0x80) {
            position.column++; /* the bytes behind a character's first do not count */
        }
    }
    return position;
}

struct json_position json_reader_position(const struct json_reader *reader)
{
    return json_position_of(reader, reader->before.offset + reader->at);
}

static bool is_in_object(const struct json_reader *reader)
{
    unsigned level = reader->depth - 1;
    return reader->depth && reader->objects[level / 64] >> level % 64 & 1;
}

static enum status give(struct json_reader *reader, enum json_event event, struct slice raw,
    struct json_token *ret_token)
{
    *ret_token = (struct json_token){.event = event,
        .offset = reader->before.offset + (size_t)(raw.data - reader->text.data),
        .raw = raw};
    return OK;
}

static void end_value(struct json_reader *reader)
{
    reader->next = reader->depth ? NEXT_COMMA_OR_END : NEXT_NOTHING;
}

static enum status open_level(
    struct json_reader *reader, bool is_object, struct json_token *ret_token)
{
    if (reader->depth == reader->limits.depth)
        return fail(reader, TOO_LARGE, "the nesting is deeper than its limit");
    uint64_t bit = (uint64_t)1 << reader->depth % 64;
    uint64_t *word = &reader->objects[reader->depth / 64];
    *word = is_object ? *word | bit : *word & ~bit;
    reader->depth++;
    reader->next = is_object ? NEXT_KEY_OR_END : NEXT_VALUE_OR_END;
    struct slice raw = slice_of(reader->text.data + reader->at++, 1);
    return give(reader, is_object ? JSON_EVENT_OBJECT : JSON_EVENT_ARRAY, raw, ret_token);
}

static enum status close_level(struct json_reader *reader, struct json_token *ret_token)
{
    bool is_object = is_in_object(reader);
    reader->depth--;
    end_value(reader);
    struct slice raw = slice_of(reader->text.data + reader->at++, 1);
    return give(reader, is_object ? JSON_EVENT_OBJECT_END : JSON_EVENT_ARRAY_END, raw, ret_token);
}

/* What a scan of a token came to: past it, or to its fault, or to an end that may not be the end.
 */
static enum status settle(struct json_reader *reader, const struct json_scan *scan)
{
    if (scan->result == OK || (scan->result == INCOMPLETE && !reader->is_last)) {
        if (scan->result == OK)
            reader->at += scan->size;
        return scan->result;
    }
    reader->at += scan->size;
    return fail(reader, INVALID,
        scan->result == INCOMPLETE ? "the text ends in the middle of a value" : scan->message);
}

static enum status read_string(
    struct json_reader *reader, bool is_key, struct json_token *ret_token)
{
    struct slice rest = json_reader_rest(reader);
    struct json_scan scan = json_scan_string(rest);
    enum status e = settle(reader, &scan);
    if (e)
        return e;
    if (is_key)
        reader->next = NEXT_COLON;
    else
        end_value(reader);
    give(reader, is_key ? JSON_EVENT_KEY : JSON_EVENT_STRING,
        slice_of(rest.data + 1, scan.size - 2), ret_token);
    ret_token->offset--; /* the quote's place */
    ret_token->has_escapes = scan.has_escapes;
    return OK;
}

static enum status read_word(struct json_reader *reader, struct slice word, enum json_event event,
    struct json_token *ret_token)
{
    struct slice rest = json_reader_rest(reader);
    struct json_scan scan = json_scan_word(rest, word);
    enum status e = settle(reader, &scan);
    if (e)
        return e;
    end_value(reader);
    return give(reader, event, slice_head(rest, scan.size), ret_token);
}

static enum status read_number(struct json_reader *reader, struct json_token *ret_token)
{
    struct slice rest = json_reader_rest(reader);
    struct json_scan scan = json_scan_number(rest, reader->is_last);
    enum status e = settle(reader, &scan);
    if (e)
        return e;
    end_value(reader);
    return give(reader, JSON_EVENT_NUMBER, slice_head(rest, scan.size), ret_token);
}

static enum status read_value(struct json_reader *reader, char c, struct json_token *ret_token)
{
    switch (c) {
    case '{':
    case '[':
        return open_level(reader, c == '{', ret_token);
    case '"':
        return read_string(reader, false, ret_token);
    case 't':
        return read_word(reader, SLICE("true"), JSON_EVENT_TRUE, ret_token);
    case 'f':
        return read_word(reader, SLICE("false"), JSON_EVENT_FALSE, ret_token);
    case 'n':
        return read_word(reader, SLICE("null"), JSON_EVENT_NULL, ret_token);
    default:
        if (c == '-' || (c >= '0' && c <= '9'))
            return read_number(reader, ret_token);
        return fail(reader, INVALID, "a value should stand here");
    }
}

static enum status read_key(struct json_reader *reader, char c, struct json_token *ret_token)
{
    if (c != '"')
        return fail(reader, INVALID, "a key in double quotes should stand here");
    return read_string(reader, true, ret_token);
}

/* Goes to the next byte that means something, past the comma or colon which is due there. */
static enum status advance(struct json_reader *reader, char *ret_c)
{
    for (;;) {
        reader->at += json_scan_blanks(json_reader_rest(reader));
        if (reader->at == reader->text.size) {
            if (!reader->is_last)
                return INCOMPLETE;
            return reader->next == NEXT_NOTHING ? END
                                                : fail(reader, INVALID, "the text ends too early");
        }
        char c = reader->text.data[reader->at];
        if (reader->next == NEXT_COLON) {
            if (c != ':')
                return fail(reader, INVALID, "a colon should stand here");
            reader->next = NEXT_VALUE;
        } else if (reader->next == NEXT_COMMA_OR_END && c == ',') {
            reader->next = is_in_object(reader) ? NEXT_KEY : NEXT_VALUE;
        } else {
            *ret_c = c;
            return OK;
        }
        reader->at++;
    }
}

enum status json_next(struct json_reader *reader, struct json_token *ret_token)
{
    char c;
    enum status e = reader->failure ? reader->failure : advance(reader, &c);
    if (e)
        return e;
    bool is_end = c == (is_in_object(reader) ? '}' : ']');
    switch ((enum next)reader->next) {
    case NEXT_COLON: /* advance went past it */
    case NEXT_VALUE:
        return read_value(reader, c, ret_token);
    case NEXT_VALUE_OR_END:
        return is_end ? close_level(reader, ret_token) : read_value(reader, c, ret_token);
    case NEXT_KEY:
        return read_key(reader, c, ret_token);
    case NEXT_KEY_OR_END:
        return is_end ? close_level(reader, ret_token) : read_key(reader, c, ret_token);
    case NEXT_COMMA_OR_END:
        if (is_end)
            return close_level(reader, ret_token);
        return fail(reader, INVALID,
            is_in_object(reader) ? "a comma or } should stand here"
                                 : "a comma or ] should stand here");
    case NEXT_NOTHING:
        break;
    }
    return fail(reader, INVALID, "there is more text behind the value");
}

enum status json_skip(struct json_reader *reader, const struct json_token *token)
{
    struct json_token at = *token;
    enum status e = at.event == JSON_EVENT_KEY ? json_next(reader, &at) : OK;
    if (at.event != JSON_EVENT_OBJECT && at.event != JSON_EVENT_ARRAY)
        return e;
    unsigned outside = reader->depth - 1;
    while (!e && reader->depth > outside)
        e = json_next(reader, &at);
    return e;
}
