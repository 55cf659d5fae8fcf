/* Path patterns: what a route's path is made of, segment by segment (router.h has the language).
 *
 * Literal text is brought into the form that uri_normalise_path gives to request paths, so that
 * matching compares bytes. A parameter never matches an empty segment: "/users/{id}" is not
 * "/users/". */
#pragma once

#include "config/option.h"
#include "config/pattern.h"

/* In the order of specificity. */
enum segment_kind {
    SEGMENT_EXACT, /* "users" */
    SEGMENT_MIXED, /* "v{major:int}" */
    SEGMENT_INT,   /* "{id:int}" */
    SEGMENT_REGEX, /* "{id:[a-f]+}" */
    SEGMENT_ANY,   /* "{id}" and "*" */
    SEGMENT_REST   /* "**" */
};

enum parameter_kind { PARAMETER_INT, PARAMETER_REGEX, PARAMETER_TEXT };

struct segment {
    enum segment_kind kind;
    enum parameter_kind parameter;
    struct slice prefix,
        suffix;        /* literal text before and behind the parameter; exact: all is prefix */
    struct slice name; /* of the parameter; empty: not kept */
    const struct pattern *regex; /* when the parameter is one */
    struct slice regex_text;
};

#define PATH_SEGMENTS_MAX 64

struct path_pattern {
    struct segment *segments; /* in the reader's arena */
    unsigned count;
};

/* Complains at `place` about a pattern that is malformed: INVALID then. */
enum status path_pattern_parse(
    struct reader *reader, struct place place, struct slice text, struct path_pattern *ret_pattern);

/* Takes the name of the next parameter off the text of a pattern, which may be malformed; false
 * when there is none. */
bool path_pattern_next_name(struct slice *text, struct slice *ret_name);

/* Negative when `a` is more specific than `b`; 0 when they match the same texts, as far as can be
 * told. Names do not count. */
int segment_compare(const struct segment *a, const struct segment *b);

/* Whether one segment of a normalised request path matches, REST apart; the parameter's text, not
 * yet decoded, in `ret_capture`. The arena takes what a regular expression has to see decoded. */
bool segment_match(const struct segment *segment, struct arena *arena, struct slice text,
    struct slice *ret_capture);

/* Takes the next segment off a path that begins with "/"; false at its end. "/a/" has two, "a" and
 * "". */
static inline bool path_next_segment(struct slice *path, struct slice *ret_segment)
{
    if (path->size == 0)
        return false;
    const char *begin = path->data + 1;
    size_t rest = path->size - 1;
    const char *slash = rest ? memchr(begin, '/', rest) : NULL;
    size_t size = slash ? (size_t)(slash - begin) : rest;
    *ret_segment = slice_of(begin, size);
    *path = slice_of(begin + size, rest - size);
    return true;
}
