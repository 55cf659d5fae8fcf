#include "http/h1_parse.h"

#include "http/scan.h"

void h1_parser_init(struct h1_parser *parser, enum h1_kind kind, const struct h1_limits *limits,
    struct fields *fields)
{
    static const enum h1_phase first[] = {
        [H1_REQUEST_HEAD] = H1_AT_START,
        [H1_RESPONSE_HEAD] = H1_IN_STATUS,
        [H1_TRAILERS] = H1_AT_FIELD,
    };
    *parser =
        (struct h1_parser){.limits = limits, .fields = fields, .kind = kind, .phase = first[kind]};
}

/* --- moving */

static const char *moved(const char *p, const char *from, const char *to)
{
    return p ? to + (p - from) : NULL;
}

void h1_parser_move(struct h1_parser *parser, const char *base)
{
    const char *from = parser->base;
    if (from == base)
        return;
    parser->base = base;
    parser->at = base + (parser->at - from);
    parser->start = base + (parser->start - from);
    parser->name.data = moved(parser->name.data, from, base);
    parser->method.data = moved(parser->method.data, from, base);
    parser->target.data = moved(parser->target.data, from, base);
    for (uint32_t i = 0; i < parser->fields->count; i++) {
        struct field *field = &parser->fields->items[i];
        field->name.data = moved(field->name.data, from, base);
        field->value.data = moved(field->value.data, from, base);
    }
}

/* --- parts of lines */

static size_t left(const struct h1_parser *parser)
{
    return (size_t)(parser->stop - parser->at);
}

/* CR LF at the position; `refusal` when there is something else. */
static enum status take_line_end(struct h1_parser *parser, enum status refusal)
{
    size_t have = left(parser);
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): something is left, so there is text
    if ((have > 0 && parser->at[0] != '\r') || (have > 1 && parser->at[1] != '\n'))
        return refusal;
    if (have < 2)
        return INCOMPLETE;
    parser->at += 2;
    return OK;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Compares what is there with a shape in which "0" stands for any digit. */
static enum status take_shape(struct h1_parser *parser, struct slice shape)
{
    size_t have = left(parser);
    for (size_t i = 0; i < shape.size && i < have; i++) {
        char c = parser->at[i];
        if (shape.data[i] == '0' ? !is_digit(c) : c != shape.data[i])
            return BAD_REQUEST_LINE;
        if (i == sizeof "HTTP/" - 1 && c != '1')
            return VERSION_NOT_SUPPORTED;
    }
    return have < shape.size ? INCOMPLETE : OK;
}

/* --- start lines */

static enum status read_start(struct h1_parser *parser)
{
    parser->start = parser->at;
    if (left(parser) == 0)
        return INCOMPLETE;
    if (*parser->at == '\r')
        return take_line_end(parser, BAD_REQUEST_LINE);
    parser->phase = H1_IN_METHOD;
    return OK;
}

static enum status read_method(struct h1_parser *parser)
{
    parser->at = scan_table(parser->at, parser->stop, SCAN_TOKEN);
    if (parser->at == parser->stop)
        return INCOMPLETE;
    if (*parser->at != ' ' || parser->at == parser->start)
        return BAD_REQUEST_LINE;
    parser->method = slice_of(parser->start, (size_t)(parser->at - parser->start));
    parser->start = ++parser->at;
    parser->phase = H1_IN_TARGET;
    return OK;
}

static enum status read_target(struct h1_parser *parser)
{
    parser->at = scan_target(parser->at, parser->stop);
    if (parser->at == parser->stop)
        return INCOMPLETE;
    if (*parser->at != ' ' || parser->at == parser->start)
        return BAD_REQUEST_LINE;
    parser->target = slice_of(parser->start, (size_t)(parser->at - parser->start));
    parser->at++;
    parser->phase = H1_IN_VERSION;
    return OK;
}

#define VERSION_SHAPE "HTTP/0.0"

static enum http_version version_at(const char *text)
{
    return text[sizeof VERSION_SHAPE - 2] == '0' ? HTTP_1_0 : HTTP_1_1;
}

static enum status read_version(struct h1_parser *parser)
{
    struct slice shape = SLICE(VERSION_SHAPE "\r\n");
    bool is_usual =
        left(parser) >= shape.size && memcmp(parser->at, "HTTP/1.1\r\n", shape.size) == 0;
    enum status e = is_usual ? OK : take_shape(parser, shape);
    if (e)
        return e;
    parser->version = version_at(parser->at);
    parser->at += shape.size;
    parser->phase = H1_AT_FIELD;
    return OK;
}

static enum status read_status(struct h1_parser *parser)
{
    struct slice shape = SLICE(VERSION_SHAPE " 000");
    const char *at = parser->at;
    bool is_usual = left(parser) >= shape.size && memcmp(at, "HTTP/1.1 ", 9) == 0 &&
                    is_digit(at[9]) && is_digit(at[10]) && is_digit(at[11]);
    enum status e = is_usual ? OK : take_shape(parser, shape);
    if (e)
        return e;
    const char *digits = parser->at + shape.size - 3;
    parser->version = version_at(parser->at);
    parser->status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + digits[2] - '0';
    if (parser->status < 100)
        return BAD_REQUEST_LINE;
    parser->at += shape.size;
    parser->start = parser->at;
    parser->phase = H1_IN_REASON;
    return OK;
}

/* [SP reason] CR LF. Many leave out the blank before an empty reason; it can mean nothing else. */
static enum status read_reason(struct h1_parser *parser)
{
    parser->at = scan_value(parser->at, parser->stop);
    if (parser->at != parser->start && *parser->start != ' ')
        return BAD_REQUEST_LINE;
    enum status e = take_line_end(parser, BAD_REQUEST_LINE);
    if (e == OK)
        parser->phase = H1_AT_FIELD;
    return e;
}

/* --- fields that frame the message */

/* One Content-Length, one number (RFC 9112 §6.3). What RFC 9110 lets a recipient repair, the same
 * number twice, is refused too: others would repair it differently. */
static enum status take_length(struct h1_parser *parser, struct slice value)
{
    if (parser->has_length || parser->is_chunked || !slice_to_u64(value, &parser->length) ||
        parser->length > INT64_MAX)
        return BAD_FRAMING;
    parser->has_length = true;
    return OK;
}

static bool is_token(struct slice s)
{
    return field_name_is_valid(s);
}

/* True for a well-formed list of codings that ends with the only "chunked": understood, but not
 * supported. */
static bool is_other_coding(struct slice value)
{
    struct slice coding;
    bool chunked = false;
    while (field_list_next(&value, &coding)) {
        if (chunked || !is_token(coding))
            return false;
        chunked = slice_equal_nocase(coding, SLICE("chunked"));
    }
    return chunked;
}

static enum status take_coding(struct h1_parser *parser, struct slice value)
{
    if (parser->has_length || parser->is_chunked || parser->version == HTTP_1_0)
        return BAD_FRAMING;
    if (!slice_equal_nocase(value, SLICE("chunked")))
        return is_other_coding(value) ? NOT_IMPLEMENTED : BAD_FRAMING;
    parser->is_chunked = true;
    return OK;
}

static enum status take_host(struct h1_parser *parser)
{
    if (parser->has_host)
        return BAD_HOST;
    parser->has_host = true;
    return OK;
}

static enum status take_field(struct h1_parser *parser, struct slice value)
{
    enum status e = OK;
    if (parser->kind != H1_TRAILERS) {
        if (parser->id == FIELD_OTHER)
            e = field_name_is_disguise(parser->name) ? BAD_FRAMING : OK;
        else if (parser->id == FIELD_CONTENT_LENGTH)
            e = take_length(parser, value);
        else if (parser->id == FIELD_TRANSFER_ENCODING)
            e = take_coding(parser, value);
        else if (parser->id == FIELD_HOST && parser->kind == H1_REQUEST_HEAD)
            e = take_host(parser);
    }
    return e ? e : fields_add_checked(parser->fields, parser->id, parser->name, value);
}

/* --- field lines */

/* A line that begins with a blank would be a folded one (RFC 9112 §5.2); it, like every other byte
 * that no name can begin with, is refused when the name is read. */
static enum status read_line_start(struct h1_parser *parser)
{
    if (left(parser) == 0)
        return INCOMPLETE;
    if (*parser->at == '\r') {
        enum status e = take_line_end(parser, BAD_FIELD);
        if (e == OK)
            parser->phase = H1_AT_END;
        return e;
    }
    if (parser->count++ == parser->limits->fields)
        return FIELDS_TOO_LARGE;
    parser->start = parser->at;
    parser->phase = H1_IN_NAME;
    return OK;
}

static enum status read_name(struct h1_parser *parser)
{
    parser->at = scan_token(parser->at, parser->stop);
    if (parser->at == parser->stop)
        return INCOMPLETE;
    if (*parser->at != ':' || parser->at == parser->start)
        return BAD_FIELD;
    parser->name = slice_of(parser->start, (size_t)(parser->at - parser->start));
    parser->id = field_id_of(parser->name);
    parser->at++;
    parser->phase = H1_IN_BLANKS;
    return OK;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static enum status read_blanks(struct h1_parser *parser)
{
    while (parser->at < parser->stop && is_blank(*parser->at))
        parser->at++;
    if (parser->at == parser->stop)
        return INCOMPLETE;
    parser->start = parser->at;
    parser->phase = H1_IN_VALUE;
    return OK;
}

static enum status read_value(struct h1_parser *parser)
{
    parser->at = scan_value(parser->at, parser->stop);
    const char *end = parser->at;
    enum status e = take_line_end(parser, BAD_FIELD);
    if (e)
        return e;
    while (end > parser->start && is_blank(end[-1]))
        end--;
    parser->phase = H1_AT_FIELD;
    return take_field(parser, slice_of(parser->start, (size_t)(end - parser->start)));
}

/* --- the whole */

static enum status step(struct h1_parser *parser)
{
    switch (parser->phase) {
    case H1_AT_START:
        return read_start(parser);
    case H1_IN_METHOD:
        return read_method(parser);
    case H1_IN_TARGET:
        return read_target(parser);
    case H1_IN_VERSION:
        return read_version(parser);
    case H1_IN_STATUS:
        return read_status(parser);
    case H1_IN_REASON:
        return read_reason(parser);
    case H1_AT_FIELD:
        return read_line_start(parser);
    case H1_IN_NAME:
        return read_name(parser);
    case H1_IN_BLANKS:
        return read_blanks(parser);
    case H1_IN_VALUE:
        return read_value(parser);
    case H1_AT_END:
        break;
    }
    return OK;
}

/* How many bytes may be looked at in this phase; beyond, the limit's status is the verdict. */
static size_t limit_of(const struct h1_parser *parser)
{
    if (parser->kind == H1_TRAILERS)
        return parser->limits->trailers;
    if (parser->phase < H1_AT_FIELD && parser->limits->line < parser->limits->head)
        return parser->limits->line;
    return parser->limits->head;
}

/* Runs the phases that share a limit. */
static enum status run(struct h1_parser *parser, struct slice bytes, enum h1_phase last)
{
    size_t limit = limit_of(parser);
    parser->stop = bytes.data + (bytes.size < limit ? bytes.size : limit);
    enum status e = OK;
    while (e == OK && parser->phase < last)
        e = step(parser);
    if (e == INCOMPLETE && bytes.size > limit)
        return last == H1_AT_FIELD ? TARGET_TOO_LONG : FIELDS_TOO_LARGE;
    return e;
}

enum status h1_parse(struct h1_parser *parser, struct slice bytes, size_t *ret_size)
{
    if (!parser->base)
        parser->base = parser->at = parser->start = bytes.data;
    h1_parser_move(parser, bytes.data);
    if (parser->phase < H1_AT_FIELD) {
        enum status e = run(parser, bytes, H1_AT_FIELD);
        if (e)
            return e;
    }
    /* Fields come in any number: the phases go round until the empty line. */
    enum status e = run(parser, bytes, H1_AT_END);
    if (e == OK)
        *ret_size = (size_t)(parser->at - parser->base);
    return e;
}
