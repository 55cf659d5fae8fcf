#include "gateway/handshakes.h"

#include "run/loop.h"
#include "run/tls.h"

static const struct metric_family successes = {"weir_tls_handshakes_total",
    "TLS handshakes with clients that succeeded, by version and whether a session was resumed.",
    METRIC_COUNTER, {"listener", "version", "resumed"}, 0};
static const struct metric_family failures = {"weir_tls_handshake_failures_total",
    "TLS handshakes with clients that failed, by why.", METRIC_COUNTER, {"listener", "reason"}, 0};

static const struct metric_family refused = {"weir_http_refused_connections_total",
    "Connections closed before their first request, since their PROXY header was missing, "
    "malformed "
    "or not to be believed.",
    METRIC_COUNTER, {"listener", "reason"}, 0};

static void count_success(const struct handshakes *handshakes, const struct entrance *entrance,
    const struct tls_facts *facts)
{
    struct slice labels[] = {entrance->name, slice_of_text(facts->version),
        facts->is_resumed ? SLICE("true") : SLICE("false")};
    metric_add(handshakes->shard, metrics_series(handshakes->metrics, &successes, labels), 1);
}

/* Of all that a peer can do, going away is not our failure. */
static enum status reason_of(enum status result)
{
    if (result == CLOSED || result == END || result == INCOMPLETE)
        return CLIENT_CLOSED;
    return result == CANCELLED ? SHUTTING_DOWN : result;
}

static bool may_log(struct handshakes *handshakes)
{
    int64_t second = loop_wall() / SECOND;
    if (second != handshakes->second)
        handshakes->logged = 0;
    handshakes->second = second;
    return handshakes->logged++ < FAILED_HANDSHAKES_LOGGED;
}

/* There was no request: a line with what is known. */
static void log_failure(const struct handshakes *handshakes, struct access_log *log,
    const struct entrance *entrance, struct stream *stream, enum status reason)
{
    struct exchange x;
    struct tls_facts facts;
    memset(&x, 0, sizeof x);
    address_copy(&x.peer, stream_peer(stream));
    address_copy(&x.client, &x.peer);
    x.facts.listener = entrance->name;
    x.facts.reason = reason;
    if (tls_facts(stream, &facts)) {
        x.request.host = facts.name;
        x.facts.trouble = slice_of_text(tls_trouble(stream));
    }
    access_log_add(log, handshakes->worker, &x, loop_wall());
}

void handshakes_count(struct handshakes *handshakes, struct access_log *log,
    const struct entrance *entrance, struct stream *stream, enum status result)
{
    struct tls_facts facts;
    if (!result && tls_facts(stream, &facts)) {
        count_success(handshakes, entrance, &facts);
        return;
    }
    enum status reason = reason_of(result);
    struct slice labels[] = {entrance->name, slice_of_text(status_word(reason))};
    metric_add(handshakes->shard, metrics_series(handshakes->metrics, &failures, labels), 1);
    if (may_log(handshakes))
        log_failure(handshakes, log, entrance, stream, reason);
}

void handshakes_refuse(struct handshakes *handshakes, struct access_log *log,
    const struct entrance *entrance, struct stream *stream, enum status reason)
{
    struct slice labels[] = {entrance->name, slice_of_text(status_word(reason))};
    metric_add(handshakes->shard, metrics_series(handshakes->metrics, &refused, labels), 1);
    if (may_log(handshakes))
        log_failure(handshakes, log, entrance, stream, reason);
}
