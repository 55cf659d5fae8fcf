/* Numbers in JSON that passes: reads along, in memory of fixed size, and keeps the last number at
 * each of some paths.
 *
 *     json_watch_init(&watch, paths, count);
 *     json_watch_feed(&watch, bytes);                    as often as there are more
 *     json_watch_end(&watch);
 *     if (json_watch_find(&watch, SLICE("usage.total_tokens"), &number)) ...
 *
 * A path is a list of keys; the empty one is the text itself. Of a string that is a number in
 * quotes (as Protocol Buffers write large ones) the number counts, of an array how many members it
 * has. Of several with the same path the last one counts, as it does for most readers. What is
 * something else, null too, says nothing, and what was seen before stays.
 *
 * Texts may follow one another, separated by blanks or line ends, or by json_watch_end. What is no
 * JSON is not looked at any further, up to the next json_watch_end; strings are not checked, but
 * for where they end. */
#pragma once

#include "base/json_reader.h"

#define JSON_WATCH_PATHS 8  /* at a time */
#define JSON_WATCH_NAMES 8  /* of a path */
#define JSON_WATCH_NAME  64 /* bytes of a key that is looked for */
#define JSON_WATCH_TOKEN                                                     \
    400 /* of what is compared: such a key with each byte escaped, in quotes \
         */

struct json_path {
    struct slice name;         /* all of it, to be found by: "usage.total_tokens" */
    const struct slice *names; /* JSON_WATCH_NAMES at most, of JSON_WATCH_NAME bytes at most */
    size_t count;
};

struct json_watched {
    const struct json_path *path; /* borrowed */
    unsigned reached;             /* as many of the open containers lie on the path, from outside */
    bool is_next;                 /* the value behind the key just read does, too */
    unsigned counts_at;           /* the depth of the array whose members are counted; 0: none */
    double members;
    bool is_found;
    double number;
};

/* What may come. */
enum json_watch_state {
    JSON_WATCH_VALUE,
    JSON_WATCH_FIRST_MEMBER, /* or the end of the array */
    JSON_WATCH_FIRST_KEY,    /* or the end of the object */
    JSON_WATCH_KEY,
    JSON_WATCH_COLON,
    JSON_WATCH_COMMA, /* or an end */
    JSON_WATCH_STRING,
    JSON_WATCH_WORD, /* a number, true, false, null */
    JSON_WATCH_LOST
};

struct json_watch {
    struct json_watched watched[JSON_WATCH_PATHS];
    size_t count;
    enum json_watch_state state;
    bool is_key;     /* of the string that is being read */
    bool is_escaped; /* its next byte is */
    bool is_kept;    /* the token is wanted */
    unsigned depth;
    uint64_t objects[JSON_DEPTH_MAX / 64]; /* which of the open containers are */
    size_t token_size;                     /* may exceed what is kept of it */
    char token[JSON_WATCH_TOKEN];
};

/* At most JSON_WATCH_PATHS, which outlive it. */
void json_watch_init(struct json_watch *watch, const struct json_path *paths, size_t count);

void json_watch_feed(struct json_watch *watch, struct slice bytes);

/* A text ends here, whole or not; another may begin. */
void json_watch_end(struct json_watch *watch);

/* The last number at that path; false when there was none. */
bool json_watch_find(const struct json_watch *watch, struct slice name, double *ret_number);
