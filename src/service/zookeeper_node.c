#include "service/zookeeper_node.h"

#include "http/uri.h"
#include "service/http_source.h"
#include "service/instance.h"

struct work {
    const struct zookeeper_reading *reading;
    struct findings *findings;
    struct text *trouble;
};

static enum status complain(const struct work *work, const char *what)
{
    text_format(work->trouble, "%s", what);
    return INVALID;
}

static enum status add(
    const struct work *work, const struct finding *finding, struct slice host, int64_t port)
{
    size_t count = work->findings->count;
    if (!host.size || port < 1 || port > 65535)
        return complain(work, host.size ? "it has no port" : "it has no address");
    enum status e =
        findings_add_host(work->findings, *finding, work->reading->resolver, host, port);
    if (e || work->findings->count > count)
        return e;
    text_format(work->trouble, "%.*s has no address", SLICE_ARG(slice_head(host, 100)));
    return NOT_FOUND;
}

/* --- Curator */

/* Labels are texts of the payload, and of the metadata in it, where Spring keeps them. */
static enum status add_payload(
    const struct work *work, const struct json_value *payload, struct finding *finding)
{
    const struct json_value *metadata = json_get(payload, SLICE("metadata"));
    struct slice zone = json_text_of(metadata, "zone");
    finding->zone = zone.size ? zone : json_text_of(payload, "zone");
    enum status e = http_source_labels(work->findings->arena, payload, finding);
    return e ? e : http_source_labels(work->findings->arena, metadata, finding);
}

static enum status read_curator(const struct work *work, const struct json_value *root)
{
    struct finding finding = {.weight = 1};
    bool is_enabled = true;
    int64_t port = 0;
    (void)json_get_bool(root, SLICE("enabled"), &is_enabled);
    (void)json_get_i64(root, work->reading->is_secure ? SLICE("sslPort") : SLICE("port"), &port);
    if (!is_enabled)
        finding.trouble = SLICE("disabled in ZooKeeper");
    enum status e = add_payload(work, json_get(root, SLICE("payload")), &finding);
    return e ? e : add(work, &finding, json_text_of(root, "address"), port);
}

/* --- serversets */

static enum status read_serverset(const struct work *work, const struct json_value *root)
{
    struct slice wanted = work->reading->endpoint, status = json_text_of(root, "status");
    const struct json_value *endpoint = json_get(root, SLICE("serviceEndpoint"));
    struct finding finding = {.weight = 1};
    struct arena *arena = work->findings->arena;
    int64_t port = 0, shard;
    if (wanted.size)
        endpoint = json_get(json_get(root, SLICE("additionalEndpoints")), wanted);
    if (!endpoint)
        return complain(work, "it has no endpoint of that name");
    if (status.size && !slice_equal(status, SLICE("ALIVE")))
        finding.trouble =
            arena_format(arena, "%.*s in ZooKeeper", SLICE_ARG(slice_head(status, 40)));
    (void)json_get_i64(endpoint, SLICE("port"), &port);
    enum status e = http_source_labels(arena, json_get(root, SLICE("metadata")), &finding);
    if (!e && json_get_i64(root, SLICE("shard"), &shard))
        e = http_source_label(
            arena, &finding, SLICE("shard"), arena_format(arena, "%lld", (long long)shard));
    return e ? e : add(work, &finding, json_text_of(endpoint, "host"), port);
}

/* --- others */

/* The form that files have; it says itself where it is wrong. */
static enum status read_own(const struct work *work, struct slice data)
{
    struct source source = {SLICE("<data>"), data};
    return instance_read_one(&source, "ZooKeeper", work->findings, work->trouble);
}

static enum status read_json(const struct work *work, struct slice data)
{
    const struct json_limits limits = {.allow_duplicate_keys = true};
    struct json_value *root;
    enum status e = json_parse(work->findings->arena, data, &limits, &root, NULL);
    if (e == NO_MEMORY)
        return e;
    if (!e && json_get(root, SLICE("serviceEndpoint")))
        return read_serverset(work, root);
    if (!e && (json_get(root, SLICE("port")) || json_get(root, SLICE("sslPort"))))
        return read_curator(work, root);
    return read_own(work, data);
}

/* "host:port"; INCOMPLETE: it is none. */
static enum status read_plain(const struct work *work, struct slice text)
{
    const struct finding finding = {.weight = 1};
    struct slice host;
    uint16_t port = 0;
    enum status e = uri_parse_authority(work->findings->arena, text, &host, &port);
    if (e == NO_MEMORY)
        return e;
    return e || !port ? INCOMPLETE : add(work, &finding, host, port);
}

static struct slice trim(struct slice s)
{
    for (struct slice before = SLICE_NONE; before.size != s.size;) {
        before = s = slice_trim(s);
        while (s.size && (s.data[s.size - 1] == '\n' || s.data[s.size - 1] == '\r'))
            s.size--;
    }
    return s;
}

enum status zookeeper_node_read(const struct zookeeper_reading *reading, struct slice name,
    struct slice data, struct findings *findings, struct text *trouble)
{
    const struct work work = {reading, findings, trouble};
    struct slice text = trim(data);
    if (text.size && (text.data[0] == '{' || text.data[0] == '"'))
        return read_json(&work, text);
    enum status e = text.size ? read_plain(&work, text) : INCOMPLETE;
    if (e == INCOMPLETE)
        e = read_plain(&work, name);
    return e == INCOMPLETE ? complain(&work, "neither its data nor its name is an address") : e;
}
