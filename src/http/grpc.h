/* gRPC over HTTP/2, as far as a gateway takes part: which requests are calls, how long they may
 * take, and the gateway's own failures in gRPC's words. Messages themselves pass as they are. */
#pragma once

#include "http/message.h"

struct exchange;

enum grpc_kind {
    GRPC_NONE,
    GRPC_CALL,    /* application/grpc */
    GRPC_WEB,     /* application/grpc-web: the trailers stand at the end of the body */
    GRPC_WEB_TEXT /* the same in base64 */
};

/* https://grpc.io/docs/guides/status-codes; the numbers are those of the protocol. */
enum grpc_status {
    GRPC_OK,
    GRPC_CANCELLED,
    GRPC_UNKNOWN,
    GRPC_INVALID_ARGUMENT,
    GRPC_DEADLINE_EXCEEDED,
    GRPC_NOT_FOUND,
    GRPC_ALREADY_EXISTS,
    GRPC_PERMISSION_DENIED,
    GRPC_RESOURCE_EXHAUSTED,
    GRPC_FAILED_PRECONDITION,
    GRPC_ABORTED,
    GRPC_OUT_OF_RANGE,
    GRPC_UNIMPLEMENTED,
    GRPC_INTERNAL,
    GRPC_UNAVAILABLE,
    GRPC_DATA_LOSS,
    GRPC_UNAUTHENTICATED,
};

/* By method and Content-Type. */
enum grpc_kind grpc_kind_of(const struct http_request *request);

/* What a Content-Type says; GRPC_NONE: nothing of gRPC. `*ret_rest`: what is behind, "+proto". */
enum grpc_kind grpc_kind_of_type(struct slice type, struct slice *ret_rest);

/* "100m" and its kin: digits, at most eight, and one of H M S m u n. INVALID. */
enum status grpc_timeout_parse(struct slice text, int64_t *ret_nanoseconds);

/* The same, rounded down, at least 1n; into `room`. */
#define GRPC_TIMEOUT_MAX 16
struct slice grpc_timeout_format(int64_t nanoseconds, char room[GRPC_TIMEOUT_MAX]);

/* A failure of the gateway in gRPC's words. */
enum grpc_status grpc_status_of(enum status reason);

/* The status of HTTP that says what a grpc-status does, for who looks for failures: 200 where it is
 * missing. */
int grpc_http_status(struct slice text);

/* What a service says that resets a call's stream with this code (gRPC over HTTP/2, "Errors"). */
enum grpc_status grpc_status_of_reset(uint32_t code);

/* Marks a call (x->grpc), and takes its own time limit into account. BAD_FIELD. */
enum status grpc_begin(struct exchange *x);

/* Says to who is asked next how much time is left until then, unless that is never. NO_MEMORY. */
enum status grpc_forward_timeout(struct exchange *x, instant deadline);

/* Adds grpc-status and grpc-message for a failure of the gateway to fields of an answer, or to
 * trailers. An empty `detail` becomes the reason's sentence. NO_MEMORY. */
enum status grpc_add_failure(
    struct exchange *x, struct fields *fields, enum status reason, struct slice detail);

/* The status that a call has ended with: as the answer's head or trailers say. Empty: none, or not
 * yet. */
struct slice grpc_status_said(const struct exchange *x);

/* What a call has ended with, for who counts: what was said, or what its end means to its caller
 * when nothing was. */
enum grpc_status grpc_outcome(const struct exchange *x);

/* "DEADLINE_EXCEEDED" and its kin. */
struct slice grpc_status_name(enum grpc_status status);

/* The frame of gRPC-Web that stands for the trailers: grpc-status and grpc-message, taken out of
 * `head` when they stand there, and what `trailers` has (or NULL). In the arena; NO_MEMORY. */
enum status grpc_web_trailers(struct arena *arena, struct fields *head,
    const struct fields *trailers, struct slice *ret_frame);

/* The Content-Type of the gateway's own answers to that kind of call. */
struct slice grpc_answer_type(enum grpc_kind kind);
