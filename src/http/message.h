/* Requests and responses, whatever version of HTTP carries them. */
#pragma once

#include "http/body.h"
#include "http/fields.h"

enum http_method {
    METHOD_OTHER,
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_PATCH,
    METHOD_OPTIONS,
    METHOD_TRACE,
    METHOD_CONNECT,
    METHOD_COUNT
};

enum http_version { HTTP_1_0, HTTP_1_1, HTTP_2 };

struct http_request {
    enum http_method method;
    enum http_version version;
    struct slice method_text; /* as sent */
    struct slice target;      /* as sent: origin, absolute, authority or asterisk form */
    struct slice scheme;      /* "http" or "https" */
    struct slice
        target_scheme; /* that the target names: of absolute form, and of HTTP/2; else empty
                        */
    struct slice
        host; /* lower case, without port, IPv6 without brackets; empty for HTTP/1.0 without Host */
    struct slice authority; /* the Host value to send on */
    struct slice path;      /* normalised: begins with "/"; "*" for OPTIONS * */
    struct slice query;     /* behind "?", without it; null data when there was no "?" */
    struct fields fields;
    struct body *body; /* never NULL */
};

struct http_response {
    int status;
    enum http_version version; /* that it came with; HTTP_1_1 when it is the gateway's own */
    struct fields fields;
    struct body *body; /* never NULL once the head is there */
};

enum http_method http_method_of(struct slice text);
struct slice http_method_name(enum http_method method);  /* "" for OTHER */
bool http_method_is_safe(enum http_method method);       /* RFC 9110 §9.2.1 */
bool http_method_is_idempotent(enum http_method method); /* RFC 9110 §9.2.2 */

/* "Not Found"; "" for codes that have no registered phrase. */
struct slice http_reason_phrase(int status);

/* True when a response with that status, to that method, has no body whatever its fields say (RFC
 * 9112 §6.3). */
bool http_response_has_no_body(enum http_method method, int status);

/* "HTTP/1.1" and so on. */
struct slice http_version_text(enum http_version version);
