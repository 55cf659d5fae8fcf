/* The two forms of an access-log line. JSON keys are OpenTelemetry's names where it has one. */
#include "gateway/access_log.h"

#include <time.h>

/* Bytes that a value of the client's may have in a line that would be too long with all of it. */
#define CUT ((size_t)1024)

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

/* Tokens and host names have nothing to escape. */
static void add_plain(struct text *text, struct slice value)
{
    text_add_char(text, '"');
    text_add(text, value);
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
    uint32_t rest = (uint32_t)(microseconds % 1000000), high = rest / 1000, low = rest % 1000;
    char digits[7] = {'.', (char)('0' + high / 100), (char)('0' + high / 10 % 10),
        (char)('0' + high % 10), (char)('0' + low / 100), (char)('0' + low / 10 % 10),
        (char)('0' + low % 10)};
    text_add_u64(text, microseconds / 1000000);
    text_add(text, slice_of(digits, sizeof digits));
}

static void add_optional(struct text *text, struct slice key, struct slice value)
{
    if (!value.size)
        return;
    text_add(text, key);
    add_string(text, value);
}

/* `most`: what a value that the client chose may have, in bytes. */
static void add_request(struct text *text, const struct exchange *x, size_t most)
{
    const struct http_request *request = &x->request;
    KEY(text, "client.address");
    add_ip(text, &x->client);
    KEY(text, "http.request.method");
    add_plain(text, slice_head(request->method_text, most));
    if (request->host.size) {
        KEY(text, "server.address");
        add_plain(text, slice_head(request->host, most));
    }
    KEY(text, "url.path");
    add_string(text, slice_head(request->path, most));
    add_optional(text, SLICE(",\"url.query\":"), slice_head(request->query, most));
    add_optional(text, SLICE(",\"user_agent.original\":"),
        slice_head(fields_value(&request->fields, FIELD_USER_AGENT), most));
}

static void add_answer(struct text *text, const struct exchange *x)
{
    const struct exchange_facts *facts = &x->facts;
    KEY(text, "http.response.status_code");
    text_add_u64(text, (uint64_t)x->response.status);
    if (facts->received) {
        KEY(text, "http.request.body.size");
        text_add_u64(text, facts->received);
    }
    KEY(text, "http.response.body.size");
    text_add_u64(text, facts->sent);
    KEY(text, "duration");
    add_seconds(text, facts->ended - facts->started);
    if (facts->tries) {
        KEY(text, "upstream.duration");
        add_seconds(text, facts->upstream_time);
    }
    if (facts->tries > 1) {
        KEY(text, "upstream.tries");
        text_add_u64(text, facts->tries);
    }
}

#define MILLISECONDS_AT 20 /* in "2026-11-20T12:00:00.000Z" */

static void add_time(struct text *text, struct log_time *time)
{
    int64_t second = time->wall / SECOND;
    uint32_t rest = (uint32_t)(time->wall % SECOND / MILLISECOND);
    if (second != time->second)
        clock_iso_time(time->wall, time->text);
    time->second = second;
    char *p = time->text + MILLISECONDS_AT;
    p[0] = (char)('0' + rest / 100);
    p[1] = (char)('0' + rest / 10 % 10);
    p[2] = (char)('0' + rest % 10);
    text_add(text, slice_of(time->text, ISO_TIME_SIZE));
}

static void add_json_line(
    struct text *text, const struct exchange *x, struct log_time *time, size_t most)
{
    text_add_literal(text, "{\"time\":\"");
    add_time(text, time);
    text_add_char(text, '"');
    add_optional(text, SLICE(",\"request.id\":"), x->request_id);
    add_optional(text, SLICE(",\"listener\":"), x->facts.listener);
    add_request(text, x, most);
    add_optional(text, SLICE(",\"http.route\":"), x->facts.route);
    add_optional(text, SLICE(",\"service\":"), x->facts.service);
    add_optional(text, SLICE(",\"upstream.address\":"), x->facts.endpoint);
    add_answer(text, x);
    if (x->facts.reason != OK)
        add_optional(text, SLICE(",\"reason\":"), slice_of_text(status_word(x->facts.reason)));
    if (most == CUT)
        text_add_literal(text, ",\"log.cut\":true");
    text_add_literal(text, "}\n");
}

/* Quotes and control bytes would let a client forge lines: they are written as \xHH. */
static void add_quoted(struct text *text, struct slice value)
{
    if (!value.size)
        text_add_char(text, '-');
    while (value.size) {
        size_t plain = text_plain_json(value);
        text_add(text, slice_head(value, plain));
        value = slice_from(value, plain);
        if (!value.size)
            return;
        unsigned char c = (unsigned char)value.data[0];
        text_add_literal(text, "\\x");
        text_add_char(text, "0123456789ABCDEF"[c >> 4]);
        text_add_char(text, "0123456789ABCDEF"[c & 15]);
        value = slice_from(value, 1);
    }
}

/* 127.0.0.1 - - [20/Nov/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 12 "referer" "agent" */
static void add_combined_line(
    struct text *text, const struct exchange *x, struct log_time *time, size_t most)
{
    const struct http_request *request = &x->request;
    time_t second = (time_t)(time->wall / SECOND);
    struct tm t;
    if (second != time->second)
        strftime(time->text, sizeof time->text, "%d/%b/%Y:%H:%M:%S", gmtime_r(&second, &t));
    time->second = second;
    address_format_ip(&x->client, text);
    text_add_literal(text, " - - [");
    text_add(text, slice_of_text(time->text));
    text_add_literal(text, " +0000] \"");
    add_quoted(text, slice_head(request->method_text, most));
    text_add_char(text, ' ');
    add_quoted(text, slice_head(request->target, most));
    text_add_char(text, ' ');
    text_add(text, http_version_text(request->version));
    text_add_literal(text, "\" ");
    text_add_u64(text, (uint64_t)x->response.status);
    text_add_char(text, ' ');
    text_add_u64(text, x->facts.sent);
    text_add_literal(text, " \"");
    add_quoted(text, slice_head(fields_value(&request->fields, FIELD_REFERER), most));
    text_add_literal(text, "\" \"");
    add_quoted(text, slice_head(fields_value(&request->fields, FIELD_USER_AGENT), most));
    text_add_literal(text, "\"\n");
}

/* Takes the text back if the line does not fit. */
static bool try_line(const struct exchange *x, enum log_format format, struct log_time *time,
    size_t most, struct text *text)
{
    size_t begin = text->size;
    if (format == LOG_COMBINED)
        add_combined_line(text, x, time, most);
    else
        add_json_line(text, x, time, most);
    bool fits = !text->failed;
    if (!fits) {
        text->failed = false;
        text->size = begin;
    }
    return fits;
}

/* Who sends values that are too long for a line does not get out of the log: they are cut. */
void access_log_format(
    const struct exchange *x, enum log_format format, struct log_time *time, struct text *text)
{
    if (try_line(x, format, time, SIZE_MAX, text) || try_line(x, format, time, CUT, text))
        return;
    text_add_literal(text, "{\"reason\":\"log-line-too-long\",\"request.id\":\"");
    text_add_json(text, slice_head(x->request_id, 64));
    text_add_literal(text, "\"}\n");
}
