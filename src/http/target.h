/* What the target of a request and the fields that name its host mean (RFC 9110 §7.1), whatever
 * version of HTTP carried them. Of this floor alone. */
#pragma once

#include "http/message.h"
#include "http/uri.h"

#define PORT_HTTP  80
#define PORT_HTTPS 443

struct target_place {
    struct slice host;
    uint16_t port; /* 0: none named */
};

/* Reads "host" or "host:port"; the dot at the end of "example.com." is taken off, since it is the
 * same host. BAD_HOST, NO_MEMORY. */
enum status target_read_place(
    struct arena *arena, struct slice authority, struct target_place *ret_place);

/* True when both are the same where a port that is not named is `usual_port`. */
bool target_is_same_place(
    const struct target_place *a, const struct target_place *b, uint16_t usual_port);

/* Divides "/path?query" into the request's path, normalised, and its query. BAD_PATH, NO_MEMORY. */
enum status target_take_path(struct arena *arena, enum encoded_slash slashes,
    struct http_request *request, struct slice path_and_query);
