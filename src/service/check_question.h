/* One question of an active check, and who asks it: check.c by HTTP/1.1, check_h2.c by HTTP/2. */
#pragma once

#include "http/h1.h"
#include "run/proxy_header.h"
#include "run/tls.h"
#include "service/endpoint.h"

#define CHECK_HEAD_MAX 4096
#define CHECK_BODY_MAX ((size_t)64 * 1024) /* of an answer; more is not looked at */

/* With a copy of what it goes by: a reload may change that while it is asked. */
struct question {
    struct endpoint *endpoint;
    struct health_options how;
    struct tls_client *client; /* counted; NULL: in clear */
    bool speaks_http2;
    enum proxy_version send_proxy; /* which then says that nobody is spoken for */
    instant deadline;
    enum status failure; /* no answer: why */
    const char *trouble; /* in words, or "" */
    int answered;        /* its status */
    struct http_request request;
    char head_room[CHECK_HEAD_MAX];
};

/* Whether somebody receives datagrams at the endpoint: OK unless its machine says that nobody does.
 */
enum status check_ask_udp(const struct question *q);

/* Asks on a new connection, which it owns. A good answer to a gRPC check says SERVING; else the
 * status tells what was wrong, and `trouble`. */
enum status check_ask_h2(struct question *q, struct stream *stream, struct arena *arena);
