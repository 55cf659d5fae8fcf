#include "http/message.h"

static const struct slice methods[METHOD_COUNT] = {
    [METHOD_OTHER] = SLICE_INIT(""),
    [METHOD_GET] = SLICE_INIT("GET"),
    [METHOD_HEAD] = SLICE_INIT("HEAD"),
    [METHOD_POST] = SLICE_INIT("POST"),
    [METHOD_PUT] = SLICE_INIT("PUT"),
    [METHOD_DELETE] = SLICE_INIT("DELETE"),
    [METHOD_PATCH] = SLICE_INIT("PATCH"),
    [METHOD_OPTIONS] = SLICE_INIT("OPTIONS"),
    [METHOD_TRACE] = SLICE_INIT("TRACE"),
    [METHOD_CONNECT] = SLICE_INIT("CONNECT"),
};

enum http_method http_method_of(struct slice text)
{
    for (enum http_method method = METHOD_GET; method < METHOD_COUNT; method++)
        if (slice_equal(text, methods[method]))
            return method;
    return METHOD_OTHER;
}

struct slice http_method_name(enum http_method method)
{
    return methods[method];
}

bool http_method_is_safe(enum http_method method)
{
    return method == METHOD_GET || method == METHOD_HEAD || method == METHOD_OPTIONS ||
           method == METHOD_TRACE;
}

bool http_method_is_idempotent(enum http_method method)
{
    return http_method_is_safe(method) || method == METHOD_PUT || method == METHOD_DELETE;
}

/* The phrases of the IANA registry; each hundred is a row of its own, as long as its last phrase.
 */
#define PHRASE(code, text) [code % 100] = SLICE_INIT(text)

static const struct slice informational[] = {
    PHRASE(100, "Continue"),
    PHRASE(101, "Switching Protocols"),
    PHRASE(102, "Processing"),
    PHRASE(103, "Early Hints"),
};
static const struct slice successful[] = {
    PHRASE(200, "OK"),
    PHRASE(201, "Created"),
    PHRASE(202, "Accepted"),
    PHRASE(203, "Non-Authoritative Information"),
    PHRASE(204, "No Content"),
    PHRASE(205, "Reset Content"),
    PHRASE(206, "Partial Content"),
    PHRASE(207, "Multi-Status"),
    PHRASE(208, "Already Reported"),
    PHRASE(226, "IM Used"),
};
static const struct slice redirection[] = {
    PHRASE(300, "Multiple Choices"),
    PHRASE(301, "Moved Permanently"),
    PHRASE(302, "Found"),
    PHRASE(303, "See Other"),
    PHRASE(304, "Not Modified"),
    PHRASE(305, "Use Proxy"),
    PHRASE(307, "Temporary Redirect"),
    PHRASE(308, "Permanent Redirect"),
};
static const struct slice client_error[] = {
    PHRASE(400, "Bad Request"),
    PHRASE(401, "Unauthorized"),
    PHRASE(402, "Payment Required"),
    PHRASE(403, "Forbidden"),
    PHRASE(404, "Not Found"),
    PHRASE(405, "Method Not Allowed"),
    PHRASE(406, "Not Acceptable"),
    PHRASE(407, "Proxy Authentication Required"),
    PHRASE(408, "Request Timeout"),
    PHRASE(409, "Conflict"),
    PHRASE(410, "Gone"),
    PHRASE(411, "Length Required"),
    PHRASE(412, "Precondition Failed"),
    PHRASE(413, "Content Too Large"),
    PHRASE(414, "URI Too Long"),
    PHRASE(415, "Unsupported Media Type"),
    PHRASE(416, "Range Not Satisfiable"),
    PHRASE(417, "Expectation Failed"),
    PHRASE(421, "Misdirected Request"),
    PHRASE(422, "Unprocessable Content"),
    PHRASE(423, "Locked"),
    PHRASE(424, "Failed Dependency"),
    PHRASE(425, "Too Early"),
    PHRASE(426, "Upgrade Required"),
    PHRASE(428, "Precondition Required"),
    PHRASE(429, "Too Many Requests"),
    PHRASE(431, "Request Header Fields Too Large"),
    PHRASE(451, "Unavailable For Legal Reasons"),
    PHRASE(499, "Client Closed Request"),
};
static const struct slice server_error[] = {
    PHRASE(500, "Internal Server Error"),
    PHRASE(501, "Not Implemented"),
    PHRASE(502, "Bad Gateway"),
    PHRASE(503, "Service Unavailable"),
    PHRASE(504, "Gateway Timeout"),
    PHRASE(505, "HTTP Version Not Supported"),
    PHRASE(506, "Variant Also Negotiates"),
    PHRASE(507, "Insufficient Storage"),
    PHRASE(508, "Loop Detected"),
    PHRASE(511, "Network Authentication Required"),
};

#define ROW(phrases)                              \
    {                                             \
        phrases, sizeof phrases / sizeof *phrases \
    }

struct slice http_reason_phrase(int status)
{
    static const struct {
        const struct slice *phrases;
        int count;
    } rows[] = {ROW(informational), ROW(successful), ROW(redirection), ROW(client_error),
        ROW(server_error)};
    int row = status / 100 - 1, at = status % 100;
    if (status < 100 || row >= (int)(sizeof rows / sizeof *rows) || at >= rows[row].count ||
        !rows[row].phrases[at].data)
        return SLICE("");
    return rows[row].phrases[at];
}

bool http_response_has_no_body(enum http_method method, int status)
{
    return status < 200 || status == 204 || status == 304 || method == METHOD_HEAD ||
           (method == METHOD_CONNECT && status < 300);
}

struct slice http_version_text(enum http_version version)
{
    static const struct slice texts[] = {
        [HTTP_1_0] = SLICE_INIT("HTTP/1.0"),
        [HTTP_1_1] = SLICE_INIT("HTTP/1.1"),
        [HTTP_2] = SLICE_INIT("HTTP/2"),
    };
    return texts[version];
}
