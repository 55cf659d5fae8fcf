/* What sources that are asked by HTTP have in common: where their server is, whom it trusts, who we
 * are, and a connection that is kept. */
#pragma once

#include "base/json.h"
#include "http/fetch.h"
#include "service/finder.h"

struct http_source_options {
    struct source_options common;
    struct slice server, ca, token, token_file;
    struct place ca_place;

    /* Made by http_source_prepare. */
    struct fetch_place place;
    struct tls_client *tls; /* counted; NULL: in clear */
};

#define HTTP_SOURCE_ROWS(server_, what_)                                                        \
    SOURCE_ROWS,                                                                                \
        {"server", OPTION_TEXT, offsetof(struct http_source_options, server),                   \
            .fallback = (server_), .form = "http://host:port",                                  \
            .help = "The server that knows, with http:// or https://, or unix:/path."},         \
        {"ca", OPTION_TEXT, offsetof(struct http_source_options, ca),                           \
            .place_offset = offsetof(struct http_source_options, ca_place),                     \
            .help = "The file (PEM) of the authorities that the server's certificate may come " \
                    "from. By default the system's."},                                          \
        {"token", OPTION_TEXT, offsetof(struct http_source_options, token), .help = (what_)},   \
    {                                                                                           \
        "token-file", OPTION_TEXT, offsetof(struct http_source_options, token_file),            \
            .help = "The file that holds the token; it is read again for each question."        \
    }

#define HTTP_SOURCE_ANSWER_MAX ((size_t)64 << 20)

/* For `prepare`, once the server is known; INVALID after a complaint. */
enum status http_source_prepare(struct finder *finder, struct reader *reader, struct place place,
    struct http_source_options *options);
void http_source_release(void *value);

/* A conversation with the server. */
struct http_source {
    struct finder *finder;
    const struct http_source_options *options;
    struct fetch fetch;
};
void http_source_begin(struct http_source *source, struct finder *finder, void *value);
void http_source_end(struct http_source *source);

/* The token, in the arena; null data: there is none. NOT_FOUND after a complaint, NO_MEMORY. */
enum status http_source_token(
    const struct http_source *source, struct arena *arena, struct slice *ret_token);

/* "Bearer TOKEN", or null data. */
enum status http_source_bearer(
    const struct http_source *source, struct arena *arena, struct slice *ret_value);

/* Asks, and complains of what goes wrong. IO_ERROR: the answer's status is none of 2xx. */
enum status http_source_ask(struct http_source *source, const struct fetch_question *question,
    struct arena *arena, instant deadline);

/* Reads the answer as JSON, and complains. */
enum status http_source_read(struct http_source *source, struct arena *arena, instant deadline,
    struct json_value **ret_root);

/* Complains that the answer is not as it should be; INVALID. */
enum status http_source_odd(struct http_source *source, const char *what);

/* Tells the finder what `read` finds in an answer. */
enum status http_source_report(struct http_source *source, struct arena *arena,
    const struct json_value *root,
    enum status (*read)(
        struct http_source *source, const struct json_value *root, struct findings *findings));

/* Asks a server again and again until that fails: `ask` has an arena for one question, and says
 * how long to wait before the next. For `follow`. */
enum status http_source_poll(struct finder *finder, void *options,
    enum status (*ask)(
        struct http_source *source, struct arena *arena, void *state, int64_t *ret_pause),
    void *state);

/* Adds a finding at an address, or at all addresses of a name. One without an address is left out.
 * NO_MEMORY, FULL, CANCELLED. */
enum status http_source_add(struct http_source *source, struct findings *findings,
    struct finding finding, struct slice host, int64_t port);

/* Appends an object's texts to the labels; NO_MEMORY. */
enum status http_source_labels(
    struct arena *arena, const struct json_value *object, struct finding *finding);

/* Appends one label; NO_MEMORY. */
enum status http_source_label(
    struct arena *arena, struct finding *finding, struct slice key, struct slice value);
