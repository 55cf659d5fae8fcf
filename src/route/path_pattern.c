#include "route/path_pattern.h"

#include "http/exchange.h"
#include "http/uri.h"

#include <stdio.h>

/* A pattern being read. */
struct parse {
    struct reader *reader;
    struct place place;
    struct slice text;
};

__attribute__((format(printf, 3, 4))) static enum status complain(
    const struct parse *p, struct slice hint, const char *format, ...)
{
    char words[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    return diagnostics_error(p->reader->diagnostics, p->place, hint, "path \"%.*s\": %s",
        SLICE_ARG(slice_head(p->text, 200)), words);
}

/* RFC 3986 §2.3: what is spelled one way only. */
static bool is_unreserved(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && c != '-' && c != '.' && c != '_' && c != '~')
            return false;
    }
    return true;
}

/* Literal text in the spelling of normalised request paths: what a URI cannot hold as it is gets
 * percent-encoded. It is normalised between two letters, since a part of a segment that is a dot is
 * not a dot segment. */
static enum status parse_literal(
    const struct parse *p, struct slice literal, struct slice *ret_text)
{
    if (is_unreserved(literal)) {
        *ret_text = literal;
        return OK;
    }
    struct text spelled =
        text_fixed(arena_bytes(p->reader->arena, literal.size * 3 + 3), literal.size * 3 + 3);
    if (!spelled.data)
        return NO_MEMORY;
    text_add_literal(&spelled, "/x");
    for (size_t i = 0; i < literal.size; i++) {
        unsigned char c = (unsigned char)literal.data[i];
        if (c > 0x20 && c < 0x7f)
            text_add_char(&spelled, (char)c);
        else
            text_format(&spelled, "%%%02X", c);
    }
    text_add_char(&spelled, 'x');
    struct slice path;
    enum status e =
        uri_normalise_path(p->reader->arena, text_slice(&spelled), ENCODED_SLASH_KEEP, &path);
    if (e == NO_MEMORY)
        return e;
    if (e || slice_find(literal, '?') < literal.size)
        return complain(p, SLICE("a path has no query, fragment, backslash or control bytes"),
            "\"%.*s\" cannot occur in a path", SLICE_ARG(slice_head(literal, 100)));
    *ret_text = slice_of(path.data + 2, path.size - 3);
    return OK;
}

static enum status parse_exact(const struct parse *p, struct slice text, struct segment *segment)
{
    enum status e = parse_literal(p, text, &segment->prefix);
    if (!e &&
        (slice_equal(segment->prefix, SLICE(".")) || slice_equal(segment->prefix, SLICE(".."))))
        return complain(p, SLICE("request paths are normalised before routing"),
            "dot segments cannot occur in a path");
    return e;
}

/* Where the parameter that opens at `text.data[0]` closes: regular expressions may hold braces of
 * their own. */
static size_t find_closing_brace(struct slice text)
{
    unsigned depth = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '\\')
            i++;
        else if (c == '{')
            depth++;
        else if (c == '}' && --depth == 0)
            return i;
    }
    return text.size;
}

bool path_pattern_next_name(struct slice *text, struct slice *ret_name)
{
    size_t open = slice_find(*text, '{');
    struct slice rest = slice_from(*text, open);
    if (rest.size == 0)
        return false;
    size_t close = find_closing_brace(rest);
    struct slice inside = slice_from(slice_head(rest, close), 1);
    *ret_name = slice_head(inside, slice_find(inside, ':'));
    *text = slice_from(rest, close + 1);
    return true;
}

static bool is_parameter_name(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && c != '_' && c != '-')
            return false;
    }
    return name.size > 0;
}

static enum status parse_regex(const struct parse *p, struct slice text, struct segment *segment)
{
    struct pattern *regex;
    const char *problem = "malformed";
    size_t offset = 0;
    enum status e = pattern_compile(p->reader->arena, text, &regex, &problem, &offset);
    if (e == NO_MEMORY)
        return e;
    if (e)
        return complain(p, SLICE("behind the colon stands \"int\" or a regular expression"),
            "\"%.*s\" at character %zu: %s", SLICE_ARG(slice_head(text, 100)), offset + 1, problem);
    segment->parameter = PARAMETER_REGEX;
    segment->regex = regex;
    segment->regex_text = text;
    return OK;
}

/* What stands between the braces: "name", "name:int", "name:regex". */
static enum status parse_parameter(
    const struct parse *p, struct slice inside, struct segment *segment)
{
    size_t colon = slice_find(inside, ':');
    segment->name = slice_head(inside, colon);
    if (!is_parameter_name(segment->name))
        return complain(p, SLICE("{name}, {name:int} or {name:regular expression}"),
            "a parameter's name has letters, digits, \"_\" and \"-\"");
    segment->parameter = PARAMETER_TEXT;
    if (colon == inside.size)
        return OK;
    struct slice type = slice_from(inside, colon + 1);
    if (type.size == 0)
        return complain(p, SLICE("{name}, {name:int} or {name:regular expression}"),
            "nothing stands behind the colon of \"%.*s\"", SLICE_ARG(segment->name));
    if (!slice_equal(type, SLICE("int")))
        return parse_regex(p, type, segment);
    segment->parameter = PARAMETER_INT;
    return OK;
}

static enum segment_kind kind_of_parameter(const struct segment *segment)
{
    if (segment->prefix.size + segment->suffix.size > 0)
        return SEGMENT_MIXED;
    switch (segment->parameter) {
    case PARAMETER_INT:
        return SEGMENT_INT;
    case PARAMETER_REGEX:
        return SEGMENT_REGEX;
    case PARAMETER_TEXT:
        break;
    }
    return SEGMENT_ANY;
}

/* A segment with a parameter that opens at `open` and closes at `close`. */
static enum status parse_parametric(
    const struct parse *p, struct slice text, size_t open, size_t close, struct segment *segment)
{
    struct slice behind = slice_from(text, close + 1);
    if (slice_find(behind, '{') != behind.size)
        return complain(p, SLICE("{first}/{second}"), "one segment has two parameters");
    enum status e = parse_literal(p, slice_head(text, open), &segment->prefix);
    if (!e)
        e = parse_literal(p, behind, &segment->suffix);
    if (!e)
        e = parse_parameter(p, slice_of(text.data + open + 1, close - open - 1), segment);
    if (!e)
        segment->kind = kind_of_parameter(segment);
    return e;
}

static enum status parse_segment(const struct parse *p, struct slice text, struct segment *segment)
{
    *segment = (struct segment){.kind = SEGMENT_EXACT, .parameter = PARAMETER_TEXT};
    if (slice_equal(text, SLICE("**")) || slice_equal(text, SLICE("*"))) {
        segment->kind = text.size == 2 ? SEGMENT_REST : SEGMENT_ANY;
        return OK;
    }
    size_t open = slice_find(text, '{');
    size_t close = open + find_closing_brace(slice_from(text, open));
    struct slice literal = slice_head(text, open);
    struct slice behind = slice_from(text, close + 1);
    if (slice_find(literal, '*') != literal.size || slice_find(behind, '*') != behind.size)
        return complain(p, SLICE("\"{name}\" may stand beside text: /v{major:int}"),
            "\"*\" stands alone in its segment");
    if (slice_find(literal, '}') != literal.size || (open < text.size && close >= text.size))
        return complain(p, SLICE_NONE, "a brace has no partner");
    if (open < text.size)
        return parse_parametric(p, text, open, close, segment);
    return parse_exact(p, text, segment);
}

/* Takes the text of the next segment; a slash within braces does not end it. */
static struct slice next_segment_text(struct slice *rest)
{
    struct slice body = slice_from(*rest, 1);
    size_t i = 0;
    while (i < body.size && body.data[i] != '/') {
        if (body.data[i] == '{')
            i += find_closing_brace(slice_from(body, i));
        i += i < body.size;
    }
    *rest = slice_from(body, i);
    return slice_head(body, i);
}

static enum status check_names(const struct parse *p, const struct path_pattern *pattern)
{
    unsigned named = 0;
    for (unsigned i = 0; i < pattern->count; i++) {
        struct slice name = pattern->segments[i].name;
        named += name.size > 0;
        for (unsigned j = 0; j < i && name.size > 0; j++)
            if (slice_equal(name, pattern->segments[j].name))
                return complain(
                    p, SLICE_NONE, "two parameters are called \"%.*s\"", SLICE_ARG(name));
    }
    if (named > PATH_PARAMETERS_MAX)
        return complain(p, SLICE_NONE, "more than %d parameters", PATH_PARAMETERS_MAX);
    return OK;
}

enum status path_pattern_parse(
    struct reader *reader, struct place place, struct slice text, struct path_pattern *ret_pattern)
{
    struct parse p = {reader, place, text};
    struct segment segments[PATH_SEGMENTS_MAX];
    struct path_pattern pattern = {segments, 0};
    if (text.size == 0 || text.data[0] != '/')
        return complain(&p, SLICE("/users/{id}"), "a path begins with \"/\"");
    enum status e = OK;
    for (struct slice rest = text; !e && rest.size > 0;) {
        if (pattern.count == PATH_SEGMENTS_MAX)
            return complain(&p, SLICE_NONE, "more than %d segments", PATH_SEGMENTS_MAX);
        if (pattern.count > 0 && segments[pattern.count - 1].kind == SEGMENT_REST)
            return complain(&p, SLICE("\"*\" and \"{name}\" match one segment"),
                "\"**\" stands only at the end");
        e = parse_segment(&p, next_segment_text(&rest), &segments[pattern.count++]);
    }
    if (!e)
        e = check_names(&p, &pattern);
    if (e)
        return e;
    ret_pattern->segments = arena_array(reader->arena, pattern.count, sizeof segments[0]);
    if (!ret_pattern->segments)
        return NO_MEMORY;
    memcpy(ret_pattern->segments, segments, pattern.count * sizeof segments[0]);
    ret_pattern->count = pattern.count;
    return OK;
}

/* Longer first, then by bytes. */
static int compare_longer_first(struct slice a, struct slice b)
{
    if (a.size != b.size)
        return a.size > b.size ? -1 : 1;
    return slice_compare(a, b);
}

int segment_compare(const struct segment *a, const struct segment *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    size_t literal_a = a->prefix.size + a->suffix.size, literal_b = b->prefix.size + b->suffix.size;
    if (literal_a != literal_b)
        return literal_a > literal_b ? -1 : 1;
    if (a->parameter != b->parameter)
        return a->parameter < b->parameter ? -1 : 1;
    int order = compare_longer_first(a->prefix, b->prefix);
    if (order == 0)
        order = slice_compare(a->suffix, b->suffix);
    return order ? order : compare_longer_first(a->regex_text, b->regex_text);
}

static bool is_number(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return true;
}

static bool matches_regex(const struct pattern *regex, struct arena *arena, struct slice text)
{
    struct slice decoded, groups[PATTERN_GROUPS_MAX];
    return uri_decode(arena, text, false, &decoded) == OK &&
           pattern_match(regex, decoded, true, groups) == OK;
}

bool segment_match(const struct segment *segment, struct arena *arena, struct slice text,
    struct slice *ret_capture)
{
    size_t around = segment->prefix.size + segment->suffix.size;
    if (segment->kind == SEGMENT_EXACT)
        return slice_equal(segment->prefix, text);
    if (text.size <= around || !slice_has_prefix(text, segment->prefix) ||
        !slice_has_suffix(text, segment->suffix))
        return false;
    struct slice inside = slice_of(text.data + segment->prefix.size, text.size - around);
    if (segment->parameter == PARAMETER_INT && !is_number(inside))
        return false;
    if (segment->parameter == PARAMETER_REGEX && !matches_regex(segment->regex, arena, inside))
        return false;
    *ret_capture = inside;
    return true;
}
