/* The two forms of a line about a connection or session of layer 4. */
#include "gateway/access_text.h"

static struct slice transport_of(const struct l4_facts *facts)
{
    return facts->transport == L4_UDP ? SLICE("udp") : SLICE("tcp");
}

static void add_number(struct text *text, struct slice key, uint64_t value)
{
    text_add(text, key);
    text_add_u64(text, value);
}

static void add_amounts(struct text *text, const struct l4_facts *facts)
{
    add_number(text, SLICE(",\"bytes.received\":"), facts->received);
    add_number(text, SLICE(",\"bytes.sent\":"), facts->sent);
    if (facts->transport == L4_UDP) {
        add_number(text, SLICE(",\"datagrams.received\":"), facts->received_datagrams);
        add_number(text, SLICE(",\"datagrams.sent\":"), facts->sent_datagrams);
    }
    ACCESS_KEY(text, "duration");
    access_add_seconds(text, facts->ended - facts->started);
    if (facts->connect_time) {
        ACCESS_KEY(text, "upstream.connect.duration");
        access_add_seconds(text, facts->connect_time);
    }
    if (facts->tries > 1)
        add_number(text, SLICE(",\"upstream.tries\":"), facts->tries);
}

static void add_json_line(struct text *text, const struct l4_facts *facts, struct log_time *time)
{
    text_add_literal(text, "{\"time\":\"");
    access_add_time(text, time);
    text_add_char(text, '"');
    access_add_optional(text, SLICE(",\"listener\":"), facts->listener);
    access_add_optional(text, SLICE(",\"network.transport\":"), transport_of(facts));
    ACCESS_KEY(text, "client.address");
    access_add_ip(text, &facts->client);
    if (facts->client.any.sa_family != AF_UNIX)
        add_number(text, SLICE(",\"client.port\":"), address_port(&facts->client));
    access_add_optional(text, SLICE(",\"tls.client.server_name\":"), facts->server_name);
    access_add_optional(text, SLICE(",\"tls.next_protocol\":"), facts->protocol);
    access_add_optional(text, SLICE(",\"service\":"), facts->service);
    access_add_optional(text, SLICE(",\"upstream.address\":"), facts->endpoint);
    add_amounts(text, facts);
    enum status reason = facts->reason ? facts->reason : facts->replaced;
    if (reason != OK)
        access_add_optional(text, SLICE(",\"reason\":"), slice_of_text(status_word(reason)));
    if (facts->replaced)
        access_add_optional(text, SLICE(",\"error.message\":"), SLICE("served by a fallback"));
    text_add_literal(text, "}\n");
}

/* Whoever reads the combined form finds three words of a request, and a status: 200 for an end in
 * peace, 499 for a client's, 5xx for the service's, 400 for the rest. */
static int status_of(const struct l4_facts *facts)
{
    int status = status_http(facts->reason);
    if (facts->reason == OK || facts->reason == IDLE_TIMEOUT)
        return 200;
    return status ? status : 400;
}

/* 127.0.0.1 - - [20/Nov/2026:12:00:00 +0000] "CONNECT postgres TCP" 200 12 "-" "-" */
static void add_combined_line(
    struct text *text, const struct l4_facts *facts, struct log_time *time)
{
    struct slice name = facts->service.size ? facts->service : SLICE("-");
    address_format_ip(&facts->client, text);
    text_add_literal(text, " - - [");
    access_add_common_time(text, time);
    text_add_literal(text, " +0000] \"CONNECT ");
    text_add(text, name);
    text_add(text, facts->transport == L4_UDP ? SLICE(" UDP\" ") : SLICE(" TCP\" "));
    text_add_u64(text, (uint64_t)status_of(facts));
    text_add_char(text, ' ');
    text_add_u64(text, facts->sent);
    text_add_literal(text, " \"-\" \"-\"\n");
}

void access_log_format_l4(
    const struct l4_facts *facts, enum log_format format, struct log_time *time, struct text *text)
{
    if (format == LOG_COMBINED)
        add_combined_line(text, facts, time);
    else
        add_json_line(text, facts, time);
}
