#include "store/redis_options.h"

#include "config/option_number.h"
#include "service/service_tls.h"
#include "store/server_url.h"

#define DATABASES_MAX 65535
#define PREFIX_MAX    100 /* bytes; keys have a bound */

/* --- the address */

static enum status read_database(
    struct slice text, struct redis_options *options, const char **ret_problem)
{
    uint64_t number;
    if (text.size == 0)
        return OK;
    if (!slice_to_u64(text, &number) || number > DATABASES_MAX) {
        *ret_problem = "behind its / stands the number of a database: redis://10.0.0.5:6379/2";
        return INVALID;
    }
    options->database = (int64_t)number;
    return OK;
}

static enum status read_place(struct arena *arena, struct slice text, struct slice port,
    struct endpoint_place *ret_place, const char **ret_problem)
{
    const struct server_form form = {port, "it is no host with a port: 10.0.0.5:6379, [::1]:6379, "
                                           "redis.internal, unix:/run/redis.sock"};
    return server_place_read(arena, text, &form, ret_place, ret_problem);
}

static enum status read_server(
    struct arena *arena, struct slice text, struct redis_options *options, const char **ret_problem)
{
    return read_place(arena, text, SLICE(":6379"), &options->server, ret_problem);
}

struct listed {
    struct slice port, example;
    const char *kind;
};

static enum status read_listed(struct reader *reader, const struct node *node,
    const struct listed *listed, struct endpoint_place *place)
{
    const char *problem = "write for example where it is";
    enum status e = INVALID;
    if (node->kind == NODE_SCALAR)
        e = read_place(reader->arena, node->text, listed->port, place, &problem);
    if (e == INVALID)
        return diagnostics_error(
            reader->diagnostics, node->place, listed->example, "no %s: %s", listed->kind, problem);
    return e;
}

static enum status read_sentinel(struct reader *reader, const struct node *node, void *ret_value)
{
    static const struct listed sentinel = {
        SLICE_INIT(":26379"), SLICE_INIT("10.0.0.5:26379"), "Sentinel"};
    return read_listed(reader, node, &sentinel, ret_value);
}

static enum status read_node(struct reader *reader, const struct node *node, void *ret_value)
{
    static const struct listed one = {
        SLICE_INIT(":6379"), SLICE_INIT("10.0.0.5:6379"), "node of a cluster"};
    return read_listed(reader, node, &one, ret_value);
}

/* --- how many gateways */

static const struct option gateways_option = {
    "gateways", OPTION_INTEGER, 0, .minimum = 1, .maximum = 65536};

static enum status read_gateways(struct reader *reader, const struct node *node, void *ret_value)
{
    const char *problem = "write a number, or auto";
    char room[64];
    struct text bounds = text_fixed(room, sizeof room);
    int64_t number = 0;
    enum status e = INVALID;
    if (node->kind == NODE_SCALAR && slice_equal(node->text, SLICE("auto"))) {
        *(int64_t *)ret_value = 0;
        return OK;
    }
    if (node->kind == NODE_SCALAR)
        e = option_number_read(&gateways_option, node->text, &number, &problem);
    if (!e && option_number_check(&gateways_option, &number, &bounds)) {
        *(int64_t *)ret_value = number;
        return OK;
    }
    return diagnostics_error(reader->diagnostics, node->place, SLICE("auto, or for example 3"),
        "no number of gateways: %s", e ? problem : "it is from 1 to 65536");
}

static bool write_gateways(const void *value, struct text *text)
{
    int64_t number = *(const int64_t *)value;
    if (number)
        text_add_i64(text, number);
    else
        text_add_literal(text, "auto");
    return true;
}

enum status redis_options_parse(
    struct arena *arena, struct slice text, struct redis_options *options, const char **ret_problem)
{
    static const struct slice schemes[] = {
        SLICE_INIT("redis://"), SLICE_INIT("rediss://"), {NULL, 0}};
    struct server_url url;
    *ret_problem = "";
    enum status e = server_url_parse(arena, text, schemes, &url, ret_problem);
    if (!e)
        e = read_database(url.rest, options, ret_problem);
    if (!e)
        e = read_server(arena, url.server, options, ret_problem);
    if (e)
        return e;
    if (url.user.size)
        options->user = url.user;
    if (url.password.size)
        options->password = url.password;
    options->is_tls = options->is_tls || url.scheme == 1;
    return OK;
}

/* --- the table */

#define ROW(member) offsetof(struct redis_options, member)

static const struct option sentinel_option = {"sentinel", OPTION_CUSTOM, 0, .read = read_sentinel,
    .form = "HOST:PORT", .schema = "{\"type\":\"string\"}", .help = "A Sentinel."};

static const struct option node_option = {"node", OPTION_CUSTOM, 0, .read = read_node,
    .form = "HOST:PORT", .schema = "{\"type\":\"string\"}", .help = "A node of a cluster."};

#define SENTINEL(member) offsetof(struct redis_sentinel_options, member)

static const struct option sentinel_rows[] = {
    {"user", OPTION_TEXT, SENTINEL(user), .help = "Whose name we give (ACL); by default none."},
    {"password", OPTION_SECRET, SENTINEL(password),
        .help = "The password, or {file: sentinel.password}; by default none: the master's is not "
                "shown to Sentinels."},
    {"tls", OPTION_STRUCT, SENTINEL(tls), .table = &service_tls_table,
        .is_set_offset = SENTINEL(tls.is_set),
        .help = "How TLS is spoken; nothing: as with the master, if it is."},
    {"clear", OPTION_FLAG, SENTINEL(is_clear), .fallback = "false",
        .help = "No TLS, although the master speaks it."},
    {NULL}};

static enum status check_user(
    struct reader *reader, struct place place, struct slice user, struct slice password)
{
    if (user.size && !password.size)
        return diagnostics_error(reader->diagnostics, place, SLICE("password: ${REDIS_PASSWORD}"),
            "a user needs a password");
    return OK;
}

static enum status check_sentinel(struct reader *reader, const struct node *node, void *value)
{
    struct redis_sentinel_options *options = value;
    options->is_set = true;
    options->place = node->place;
    if (options->tls.is_set && options->is_clear)
        return diagnostics_error(reader->diagnostics, node->place, SLICE_NONE,
            "Sentinels are asked by `tls`, or in the `clear`");
    return check_user(reader, node->place, options->user, options->password);
}

static const struct option_table sentinel_table = {.name = "sentinel",
    .help = "How Sentinels are asked. They have passwords and users of their own.",
    .options = sentinel_rows,
    .size = sizeof(struct redis_sentinel_options),
    .check = check_sentinel,
    .example = "{password: \"${SENTINEL_PASSWORD}\"}"};

static const struct option rows[] = {
    {"at", OPTION_TEXT, ROW(at), .place_offset = ROW(at_place), .form = "redis://host:6379/0",
        .help = "Where it is: `host:port`, `unix:/path`, or `redis://user:password@host:port/0`; "
                "`rediss://` speaks TLS."},
    {"sentinels", OPTION_LIST, ROW(sentinels), .item = &sentinel_option,
        .item_size = sizeof(struct endpoint_place),
        .help = "Instead of `at`: Sentinels that say where the master is, now and after each "
                "failover. They are asked over TLS when the master is, unless `sentinel` says "
                "otherwise."},
    {"cluster", OPTION_LIST, ROW(cluster), .item = &node_option,
        .item_size = sizeof(struct endpoint_place),
        .help = "Instead of `at`: nodes of a Redis Cluster, of which any tells where all are."},
    {"master", OPTION_TEXT, ROW(master), .fallback = "mymaster",
        .help = "By which name the Sentinels know it."},
    {"sentinel", OPTION_STRUCT, ROW(sentinel), .table = &sentinel_table,
        .help = "How the Sentinels are asked: with which password, over which TLS."},
    {"user", OPTION_TEXT, ROW(user), .help = "Whose name we give (ACL); by default none."},
    {"password", OPTION_SECRET, ROW(password),
        .help = "The password, better from the environment (${REDIS_PASSWORD}), or {file: "
                "redis.password}."},
    {"database", OPTION_INTEGER, ROW(database), .minimum = 0, .maximum = DATABASES_MAX,
        .help = "The number of the database."},
    {"tls", OPTION_STRUCT, ROW(tls), .table = &service_tls_table, .is_set_offset = ROW(tls.is_set),
        .help = "How TLS is spoken; nothing: as rediss:// says."},
    {"timeout", OPTION_DURATION, ROW(timeout), .fallback = "20ms", .minimum = MILLISECOND,
        .maximum = MINUTE,
        .help = "How long a request waits for an answer at most. Nobody waits when it is known "
                "that none will come."},
    {"connect-timeout", OPTION_DURATION, ROW(connect_timeout), .fallback = "1s",
        .minimum = MILLISECOND, .maximum = MINUTE,
        .help = "How long a connection may take to be made, with TLS and the password; and how "
                "long one is kept on which answers are missing."},
    {"pending", OPTION_INTEGER, ROW(pending), .fallback = "4096", .minimum = 1, .maximum = 1 << 20,
        .help = "How many commands of a worker may be without an answer at a time; what is more is "
                "told so at once."},
    {"gateways", OPTION_CUSTOM, ROW(gateways), .fallback = "auto", .read = read_gateways,
        .write = write_gateways, .item_size = sizeof(int64_t), .form = "auto, or a number from 1",
        .schema = "{\"type\":[\"integer\",\"string\"]}",
        .help = "How many gateways share it: while it does not answer, each has this part of what "
                "all may do. auto: they count each other there, and go by the last count."},
    {"prefix", OPTION_TEXT, ROW(prefix), .fallback = "weir:", .help = "What all keys begin with."},
    {NULL}};

static bool has_socket_path(const struct redis_options *options)
{
    const struct endpoint_place *sentinels = options->sentinels.items;
    for (size_t i = 0; i < options->sentinels.count; i++)
        if (sentinels[i].address.any.sa_family == AF_UNIX)
            return true;
    return options->server.address.any.sa_family == AF_UNIX;
}

static enum status read_at(struct reader *reader, struct redis_options *options)
{
    const char *problem = "";
    enum status e = server_url_hide(reader, options->at, options->at_place);
    if (!e)
        e = redis_options_parse(reader->arena, options->at, options, &problem);
    if (e == INVALID)
        return diagnostics_error(reader->diagnostics, options->at_place,
            SLICE("redis://10.0.0.5:6379/0"), "no Redis server: %s", problem);
    return e;
}

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    struct redis_options *options = value;
    options->place = node->place;
    if (!options->at_place.source)
        options->at_place = node->place;
    int ways =
        (options->at.data != NULL) + (options->sentinels.count > 0) + (options->cluster.count > 0);
    if (ways != 1)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("{at: 10.0.0.5:6379}, {sentinels: [10.0.0.5:26379], master: shop}, or "
                  "{cluster: [10.0.0.5:6379]}"),
            ways ? "it is said in two ways where it is" : "nothing says where it is");
    if (options->prefix.size > PREFIX_MAX)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("prefix: \"shop:\""),
            "the prefix is longer than %d bytes", PREFIX_MAX);
    if (options->cluster.count && options->database)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("leave it out"),
            "a cluster has no `database` but 0");
    if (options->sentinel.is_set && !options->sentinels.count)
        return diagnostics_error(reader->diagnostics, options->sentinel.place,
            SLICE("sentinels: [10.0.0.5:26379]"), "there are no `sentinels` to be asked so");
    enum status e = options->at.data ? read_at(reader, options) : OK;
    options->is_tls = options->is_tls || options->tls.is_set;
    if (!e && options->is_tls && has_socket_path(options) && !options->tls.name.size)
        return diagnostics_error(reader->diagnostics, options->at_place,
            SLICE("tls: {name: redis.internal}"),
            "a unix socket has no name: `tls` must say what its certificate is for");
    return e ? e : check_user(reader, options->at_place, options->user, options->password);
}

const struct option_table redis_table = {.name = "redis",
    .help = "A Redis or Valkey server through which gateways share what they count. While it does "
            "not answer everything goes on, each gateway by itself.",
    .options = rows,
    .size = sizeof(struct redis_options),
    .shorthand = "at",
    .check = check,
    .example = "redis: {at: \"redis://10.0.0.5:6379/0\", password: \"${REDIS_PASSWORD}\"}"};
