/* The two forms of an access-log line. JSON keys are OpenTelemetry's names where it has one. */
#include "gateway/access_log.h"

#include <time.h>

static void add_key(struct text *text, struct slice key)
{
    text_add(text, key);
}

#define KEY(text, literal) add_key((text), SLICE(",\"" literal "\":"))

static void add_string(struct text *text, struct slice value)
{
    text_add_char(text, '"');
    text_add_json(text, value);
    text_add_char(text, '"');
}

static void add_ip(struct text *text, const struct address *address)
{
    text_add_char(text, '"');
    address_format_ip(address, text);
    text_add_char(text, '"');
}

/* Seconds with microseconds: 0.001234. */
static void add_seconds(struct text *text, int64_t nanoseconds)
{
    uint64_t microseconds = nanoseconds > 0 ? (uint64_t)(nanoseconds / MICROSECOND) : 0;
    text_add_u64(text, microseconds / 1000000);
    char digits[7] = ".";
    for (int i = 6, rest = (int)(microseconds % 1000000); i > 0; i--, rest /= 10)
        digits[i] = (char)('0' + rest % 10);
    text_add(text, slice_of(digits, sizeof digits));
}

static void add_optional(struct text *text, struct slice key, struct slice value)
{
    if (!value.size)
        return;
    text_add(text, key);
    add_string(text, value);
}

static void add_request(struct text *text, const struct exchange *x)
{
    const struct http_request *request = &x->request;
    KEY(text, "client.address");
    add_ip(text, &x->client);
    KEY(text, "http.request.method");
    add_string(text, request->method_text);
    add_optional(text, SLICE(",\"server.address\":"), request->host);
    KEY(text, "url.path");
    add_string(text, request->path);
    add_optional(text, SLICE(",\"url.query\":"), request->query);
    add_optional(
        text, SLICE(",\"user_agent.original\":"), fields_value(&request->fields, FIELD_USER_AGENT));
}

static void add_answer(struct text *text, const struct exchange *x)
{
    const struct exchange_facts *facts = &x->facts;
    KEY(text, "http.response.status_code");
    text_add_u64(text, (uint64_t)x->response.status);
    KEY(text, "http.request.body.size");
    text_add_u64(text, facts->received);
    KEY(text, "http.response.body.size");
    text_add_u64(text, facts->sent);
    KEY(text, "duration");
    add_seconds(text, facts->ended - facts->started);
    if (facts->tries) {
        KEY(text, "upstream.duration");
        add_seconds(text, facts->upstream_time);
        KEY(text, "upstream.tries");
        text_add_u64(text, facts->tries);
    }
}

static void add_json_line(struct text *text, const struct exchange *x, int64_t wall)
{
    char time[ISO_TIME_SIZE];
    clock_iso_time(wall, time);
    text_add_literal(text, "{\"time\":\"");
    text_add(text, slice_of(time, sizeof time));
    text_add_char(text, '"');
    add_optional(text, SLICE(",\"request.id\":"), x->request_id);
    add_optional(text, SLICE(",\"listener\":"), x->facts.listener);
    add_request(text, x);
    add_optional(text, SLICE(",\"http.route\":"), x->facts.route);
    add_optional(text, SLICE(",\"service\":"), x->facts.service);
    add_optional(text, SLICE(",\"upstream.address\":"), x->facts.endpoint);
    add_answer(text, x);
    if (x->facts.reason != OK)
        add_optional(text, SLICE(",\"reason\":"), slice_of_text(status_word(x->facts.reason)));
    text_add_literal(text, "}\n");
}

/* Quotes and control bytes would let a client forge lines: they are written as \xHH. */
static void add_quoted(struct text *text, struct slice value)
{
    if (!value.size)
        text_add_char(text, '-');
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\') {
            text_add_literal(text, "\\x");
            text_add_char(text, "0123456789ABCDEF"[c >> 4]);
            text_add_char(text, "0123456789ABCDEF"[c & 15]);
        } else {
            text_add_char(text, (char)c);
        }
    }
}

/* 127.0.0.1 - - [20/Nov/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 12 "referer" "agent" */
static void add_combined_line(struct text *text, const struct exchange *x, int64_t wall)
{
    const struct http_request *request = &x->request;
    char date[32];
    time_t seconds = (time_t)(wall / SECOND);
    struct tm t;
    strftime(date, sizeof date, "%d/%b/%Y:%H:%M:%S +0000", gmtime_r(&seconds, &t));
    address_format_ip(&x->client, text);
    text_add_literal(text, " - - [");
    text_add(text, slice_of_text(date));
    text_add_literal(text, "] \"");
    add_quoted(text, request->method_text);
    text_add_char(text, ' ');
    add_quoted(text, request->target);
    text_add_char(text, ' ');
    text_add(text, http_version_text(request->version));
    text_add_literal(text, "\" ");
    text_add_u64(text, (uint64_t)x->response.status);
    text_add_char(text, ' ');
    text_add_u64(text, x->facts.sent);
    text_add_literal(text, " \"");
    add_quoted(text, fields_value(&request->fields, FIELD_REFERER));
    text_add_literal(text, "\" \"");
    add_quoted(text, fields_value(&request->fields, FIELD_USER_AGENT));
    text_add_literal(text, "\"\n");
}

void access_log_format(
    const struct exchange *x, enum log_format format, int64_t wall, struct text *text)
{
    size_t begin = text->size;
    if (format == LOG_COMBINED)
        add_combined_line(text, x, wall);
    else
        add_json_line(text, x, wall);
    if (!text->failed)
        return;
    /* Too long for a line: a short one says so, and stays valid. */
    text->failed = false;
    text->size = begin;
    text_add_literal(text, "{\"reason\":\"log-line-too-long\",\"request.id\":\"");
    text_add_json(text, slice_head(x->request_id, 64));
    text_add_literal(text, "\"}\n");
}
