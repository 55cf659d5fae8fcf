/* The two forms of an access-log line. JSON keys are OpenTelemetry's names where it has one. */
#include "gateway/access_log.h"

#include "gateway/access_text.h"
#include "proxy/proxy.h"
#include "run/tls.h"

/* Bytes that a value of the client's may have in a line that would be too long with all of it. */
#define CUT ((size_t)1024)

/* Tokens and host names have nothing to escape. */
static void add_plain(struct text *text, struct slice value)
{
    text_add_char(text, '"');
    text_add(text, value);
    text_add_char(text, '"');
}

/* Of CONNECT, whose target is nothing but a host and a port. */
static void add_target_port(struct text *text, struct slice target)
{
    uint64_t port;
    size_t at = target.size;
    while (at > 0 && target.data[at - 1] != ':')
        at--;
    if (at == 0 || !slice_to_u64(slice_from(target, at), &port))
        return;
    ACCESS_KEY(text, "server.port");
    text_add_u64(text, port);
}

/* `most`: what a value that the client chose may have, in bytes. */
static void add_request(struct text *text, const struct exchange *x, size_t most)
{
    const struct http_request *request = &x->request;
    ACCESS_KEY(text, "client.address");
    access_add_ip(text, &x->client);
    ACCESS_KEY(text, "http.request.method");
    add_plain(text, slice_head(request->method_text, most));
    if (request->host.size) {
        ACCESS_KEY(text, "server.address");
        add_plain(text, slice_head(request->host, most));
    }
    if (proxy_is_tunnel(x))
        add_target_port(text, request->target);
    ACCESS_KEY(text, "url.path");
    access_add_string(text, slice_head(request->path, most));
    access_add_optional(text, SLICE(",\"url.query\":"), slice_head(request->query, most));
    access_add_optional(text, SLICE(",\"user_agent.original\":"),
        slice_head(fields_value(&request->fields, FIELD_USER_AGENT), most));
}

static void add_answer(struct text *text, const struct exchange *x)
{
    const struct exchange_facts *facts = &x->facts;
    ACCESS_KEY(text, "http.response.status_code");
    text_add_u64(text, (uint64_t)x->response.status);
    if (facts->received) {
        ACCESS_KEY(text, "http.request.body.size");
        text_add_u64(text, facts->received);
    }
    ACCESS_KEY(text, "http.response.body.size");
    text_add_u64(text, facts->sent);
    ACCESS_KEY(text, "duration");
    access_add_seconds(text, facts->ended - facts->started);
    if (facts->tries) {
        ACCESS_KEY(text, "upstream.duration");
        access_add_seconds(text, facts->upstream_time);
    }
    if (facts->tries > 1) {
        ACCESS_KEY(text, "upstream.tries");
        text_add_u64(text, facts->tries);
    }
    if (facts->hedge) {
        ACCESS_KEY(text, "upstream.hedge");
        add_plain(text, facts->hedge == HEDGE_WON ? SLICE("won") : SLICE("lost"));
    }
}

static void add_websocket(struct text *text, const struct exchange_facts *facts)
{
    if (!facts->close_code)
        return;
    ACCESS_KEY(text, "websocket.close_code");
    text_add_u64(text, facts->close_code);
    ACCESS_KEY(text, "websocket.messages.received");
    text_add_u64(text, facts->messages_received);
    ACCESS_KEY(text, "websocket.messages.sent");
    text_add_u64(text, facts->messages_sent);
}

static void add_grpc(struct text *text, const struct exchange *x)
{
    uint64_t status;
    if (!x->grpc || !slice_to_u64(grpc_status_said(x), &status))
        return;
    ACCESS_KEY(text, "rpc.grpc.status_code");
    text_add_u64(text, status);
}

static void add_tls(struct text *text, struct stream *tls)
{
    struct tls_facts facts;
    if (!tls || !tls_facts(tls, &facts))
        return;
    ACCESS_KEY(text, "tls.protocol.version");
    add_plain(text, slice_of_text(facts.version));
    const struct tls_certificate *certificate = facts.has_certificate ? tls_certificate(tls) : NULL;
    if (certificate)
        access_add_optional(text, SLICE(",\"tls.client.subject\":"), certificate->subject);
}

/* False of a connection that ended before its first request: a handshake that failed, say. */
static bool has_request(const struct exchange *x)
{
    return x->response.status != 0 || x->request.method_text.size > 0;
}

/* What is known of such a connection: who it was, and whom it asked for. */
static void add_connection(struct text *text, const struct exchange *x)
{
    ACCESS_KEY(text, "client.address");
    access_add_ip(text, &x->client);
    if (address_port(&x->client)) {
        ACCESS_KEY(text, "client.port");
        text_add_u64(text, address_port(&x->client));
    }
    access_add_optional(text, SLICE(",\"tls.client.server_name\":"), x->request.host);
}

static void add_whole_exchange(struct text *text, const struct exchange *x, size_t most)
{
    add_request(text, x, most);
    add_tls(text, x->tls);
    access_add_optional(text, SLICE(",\"http.route\":"), x->facts.route);
    access_add_optional(text, SLICE(",\"service\":"), x->facts.service);
    access_add_optional(text, SLICE(",\"upstream.address\":"), x->facts.endpoint);
    add_answer(text, x);
    add_websocket(text, &x->facts);
    add_grpc(text, x);
}

static void add_json_line(
    struct text *text, const struct exchange *x, struct log_time *time, size_t most)
{
    text_add_literal(text, "{\"time\":\"");
    access_add_time(text, time);
    text_add_char(text, '"');
    access_add_optional(text, SLICE(",\"request.id\":"), x->request_id);
    access_add_optional(text, SLICE(",\"listener\":"), x->facts.listener);
    if (has_request(x))
        add_whole_exchange(text, x, most);
    else
        add_connection(text, x);
    if (x->facts.reason != OK)
        access_add_optional(
            text, SLICE(",\"reason\":"), slice_of_text(status_word(x->facts.reason)));
    access_add_optional(text, SLICE(",\"error.message\":"), x->facts.trouble);
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
    address_format_ip(&x->client, text);
    text_add_literal(text, " - - [");
    access_add_common_time(text, time);
    text_add_literal(text, " +0000] \"");
    if (has_request(x)) {
        add_quoted(text, slice_head(request->method_text, most));
        text_add_char(text, ' ');
        add_quoted(text, slice_head(request->target, most));
        text_add_char(text, ' ');
        text_add(text, http_version_text(request->version));
    } else {
        text_add_char(text, '-');
    }
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
