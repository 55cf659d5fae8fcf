/* One question to an endpoint, of a check or to an agent, and who asks it: check_http.c (by HTTP,
 * HTTP/2 in check_h2.c), check_udp.c, check_command.c.
 *
 * A question holds copies of what it needs, or counts it: while it is asked, the endpoint and the
 * configuration may go. Whoever asked finds that out by errand_is_stopped. */
#pragma once

#include "http/h1.h"
#include "run/proxy_header.h"
#include "run/tls.h"
#include "service/endpoint.h"

#define CHECK_BODY_MAX  ((size_t)64 * 1024) /* of an answer; more is not looked at */
#define CHECK_ARENA_MAX (4 * CHECK_BODY_MAX)

struct question {
    struct arena *arena; /* borrowed: of this question alone */
    int method;          /* enum health_method */
    struct address address;
    struct slice tls_name;       /* in the arena */
    struct tls_client *client;   /* counted; NULL: in clear */
    struct tls_session *session; /* borrowed; or NULL */
    bool speaks_http2;
    enum proxy_version send_proxy; /* which then says that nobody is spoken for */
    int64_t timeout;
    instant deadline;
    struct http_request request; /* of HTTP */

    enum status failure;             /* no answer: why */
    const char *trouble;             /* in words, or "" */
    struct http_response response;   /* of HTTP: the answer's head */
    struct fields trailers;          /* perhaps none */
    struct slice body;               /* its beginning; of a command, what it has written */
    int exit_code;                   /* of a command; 128 and more: a signal killed it */
    char **arguments, **environment; /* of a command: in the arena, end with NULL */
};

/* Readies a question by GET with the endpoint's address and the service's TLS. */
void question_init(struct question *q, struct arena *arena, const struct endpoint *endpoint,
    const struct service_options *options, int64_t timeout);
void question_release(struct question *q);

/* Makes it one for `target`, a path with its query, of the endpoint's host. `agent` is what we call
 * ourselves. */
void question_set_target(struct question *q, const struct service_options *options,
    struct slice host, struct slice target, const char *agent);

/* Opens a connection, or says why not in `trouble` too. */
enum status question_connect(struct question *q, struct stream **ret_stream);

/* Asks by HTTP/1.1, HTTP/2 or gRPC: the answer's head, the beginning of its body and its trailers.
 */
enum status check_ask_http(struct question *q);

/* Whether somebody receives datagrams at the endpoint: OK unless its machine says that nobody does.
 */
enum status check_ask_udp(const struct question *q);

/* Asks on a new connection, which it owns. A good answer to a gRPC check says SERVING; else the
 * status tells what was wrong, and `trouble`. `service` is whom gRPC is asked about. */
enum status check_ask_h2(struct question *q, struct stream *stream);

/* As much of a body as is looked at, whether or not there is more. */
enum status check_read_body(struct question *q, struct body *body);

/* Readies arguments and environment. NO_MEMORY. */
enum status check_command_prepare(
    struct question *q, const struct health_options *how, const struct endpoint *endpoint);

/* Runs the command and takes its exit code, killing it and all it has started when time is over.
 * INVALID: it cannot be run. */
enum status check_ask_command(struct question *q, struct command_gate *gate);

/* Whether the answer is as the options want it; if not, says in `trouble` what is wrong. */
bool check_is_expected(
    const struct question *q, const struct health_options *how, struct text *trouble);
