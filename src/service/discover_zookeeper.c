/* The children of a node of ZooKeeper: their names, then the data of each, and what changes from
 * there on by watches. A watch tells of one change and not of which, so each is followed by the
 * question anew; since answers and events come in the order in which they happened, nothing is
 * missed between them
 * (https://zookeeper.apache.org/doc/r3.8.0/zookeeperProgrammers.html#ch_zkWatches). A node that is
 * not there is watched until somebody makes it.
 *
 * The protocol is spoken by ourselves (zookeeper.h): a handful of messages on our own streams. */
#include "service/found_map.h"
#include "service/zookeeper.h"
#include "service/zookeeper_node.h"

#include "http/uri.h"
#include "run/loop.h"
#include "run/resolver.h"

#include <stdlib.h>

#define PORT         2181
#define CONNECT_TIME (5 * SECOND)
#define WINDOW       64 /* questions that are on their way at a time */
#define SERVERS_MAX  16

struct server {
    struct slice text, host;
    uint16_t port;
};

struct zookeeper_options {
    struct source_options common;
    struct slice server, user, password, endpoint;
    int64_t session;
    bool is_secure;

    /* Made by `prepare`. */
    struct server servers[SERVERS_MAX];
    size_t server_count;
    struct slice path; /* with the root that the servers are given with */
};

static const struct option rows[] = {SOURCE_ROWS,
    {"server", OPTION_TEXT, offsetof(struct zookeeper_options, server),
        .fallback = "127.0.0.1:2181", .form = "zk1:2181,zk2:2181/root",
        .help = "The servers of the ensemble, of which one is asked, and the node below which "
                "all paths are meant, if there is one."},
    {"user", OPTION_TEXT, offsetof(struct zookeeper_options, user),
        .help = "The user to log in as (digest)."},
    {"password", OPTION_SECRET, offsetof(struct zookeeper_options, password),
        .help = "Its password, or {file: zookeeper.password}."},
    {"session", OPTION_DURATION, offsetof(struct zookeeper_options, session), .fallback = "10s",
        .minimum = 6 * SECOND, .maximum = HOUR,
        .help = "The length of the session; a server that says nothing for two thirds of it is "
                "left for another one. Servers have bounds of their own for it."},
    {"endpoint", OPTION_TEXT, offsetof(struct zookeeper_options, endpoint),
        .help = "Of serversets, which of the `additionalEndpoints` is meant."},
    {"secure", OPTION_FLAG, offsetof(struct zookeeper_options, is_secure), .fallback = "false",
        .help = "Whether Curator's `sslPort` is meant; `tls: {}` of the service speaks TLS there."},
    {NULL}};

static const struct option_table table = {.name = "zookeeper",
    .help = "The children of a node of ZooKeeper 3.4 and later: `zookeeper:///services/user`. Each "
            "describes an endpoint as Apache Curator does ({\"address\": …, \"port\": …, "
            "\"sslPort\", \"payload\"}), as Finagle's serversets do ({\"serviceEndpoint\": …, "
            "\"status\"}), by `host:port` as data or as name, or by the map that files have. Texts "
            "of the payload and the metadata become labels, and `zone` among them the zone. One "
            "that makes no sense is left out.",
    .options = rows,
    .size = sizeof(struct zookeeper_options),
    .example = "{server: \"zk1:2181,zk2:2181,zk3:2181/shop\", user: weir, "
               "password: \"${ZOOKEEPER_PASSWORD}\"}"};

/* --- preparing */

/* "/services/user": no empty part, none of dots, no control bytes. */
static bool is_path(struct slice path)
{
    struct slice rest = slice_from(path, 1), part;
    if (!slice_has_prefix(path, SLICE("/")) || slice_has_suffix(path, SLICE("/")))
        return false;
    for (size_t i = 0; i < path.size; i++)
        if ((unsigned char)path.data[i] < ' ' || path.data[i] == 127)
            return false;
    while (slice_split(&rest, '/', &part))
        if (!part.size || slice_equal(part, SLICE(".")) || slice_equal(part, SLICE("..")))
            return false;
    return true;
}

static enum status read_servers(
    struct arena *arena, struct slice rest, struct zookeeper_options *options)
{
    struct slice text;
    while (slice_split(&rest, ',', &text)) {
        struct server server = {.text = slice_trim(text)};
        if (options->server_count == SERVERS_MAX)
            return INVALID;
        enum status e = uri_parse_authority(arena, server.text, &server.host, &server.port);
        if (e)
            return e == NO_MEMORY ? e : INVALID;
        server.port = server.port ? server.port : PORT;
        options->servers[options->server_count++] = server;
    }
    return options->server_count ? OK : INVALID;
}

static enum status prepare(
    struct finder *finder, struct reader *reader, struct place place, void *value)
{
    struct zookeeper_options *options = value;
    size_t slash = slice_find(options->server, '/');
    struct slice root = slice_from(options->server, slash), path = finder_rest(finder);
    struct arena *arena = reader->arena;
    if (!is_path(path))
        return diagnostics_error(reader->diagnostics, place, SLICE("zookeeper:///services/user"),
            "a node of ZooKeeper is a path: zookeeper:///services/user");
    if (root.size && !is_path(root))
        return diagnostics_error(reader->diagnostics, place, SLICE("server: \"zk1,zk2/root\""),
            "\"%.*s\" is no node of ZooKeeper", SLICE_ARG(slice_head(root, 100)));
    enum status e = read_servers(arena, slice_head(options->server, slash), options);
    if (e == INVALID)
        return diagnostics_error(reader->diagnostics, place,
            SLICE("server: \"10.0.0.1:2181,10.0.0.2:2181\""),
            "\"%.*s\" is not one server or several, at most %d",
            SLICE_ARG(slice_head(options->server, 100)), SERVERS_MAX);
    options->path = arena_format(arena, "%.*s%.*s", SLICE_ARG(root), SLICE_ARG(path));
    return e ? e : options->path.data ? OK : NO_MEMORY;
}

/* --- what is known and asked */

struct child {
    struct list node; /* when it is about to be removed */
    uint64_t seen;    /* the newest list that had it */
    bool is_lost;     /* its host has no address at the time */
    size_t size;
    char name[];
};

struct question {
    struct list node;
    enum jute_operation operation;
    size_t size; /* of the child's name; 0: the node itself is meant */
    char name[];
};

struct following {
    struct finder *finder;
    const struct zookeeper_options *options;
    struct resolver *resolver;
    struct zookeeper zk;
    const struct server *server;
    struct list waiting, sent; /* owned: struct question */
    size_t sent_count;
    struct table children; /* by name: struct child, owned */
    struct found_map map;  /* of those whose data makes sense */
    uint64_t lists;        /* of names that have come */
    size_t lost_count;
    bool is_changed;
};

static enum status fail(struct following *f, enum status e, const char *trouble)
{
    if (e != CANCELLED)
        finder_complain(f->finder, "%.*s: %s", SLICE_ARG(slice_head(f->server->text, 100)),
            *trouble ? trouble : status_sentence(e));
    return e;
}

static enum status ask(struct following *f, enum jute_operation operation, struct slice name)
{
    struct question *question = malloc(sizeof *question + name.size);
    if (!question)
        return NO_MEMORY;
    *question = (struct question){.operation = operation, .size = name.size};
    if (name.size)
        memcpy(question->name, name.data, name.size);
    list_push_back(&f->waiting, &question->node);
    return OK;
}

static enum status send_one(struct following *f, const struct question *question)
{
    struct arena arena;
    struct slice path = f->options->path, name = slice_of(question->name, question->size);
    arena_init(&arena, 0, 0);
    if (name.size)
        path = arena_format(&arena, "%.*s/%.*s", SLICE_ARG(path), SLICE_ARG(name));
    enum status e = path.data ? zookeeper_ask(&f->zk, question->operation, path) : NO_MEMORY;
    arena_release(&arena);
    return e ? fail(f, e, f->zk.trouble) : OK;
}

static enum status send_some(struct following *f)
{
    enum status e = OK;
    while (!e && f->sent_count < WINDOW && !list_is_empty(&f->waiting)) {
        struct list *node = list_pop_front(&f->waiting);
        list_push_back(&f->sent, node);
        f->sent_count++;
        e = send_one(f, list_entry(node, struct question, node));
    }
    return e;
}

/* --- children */

static void set_lost(struct following *f, struct child *child, bool is_lost)
{
    f->lost_count += (size_t)is_lost - (size_t)child->is_lost;
    child->is_lost = is_lost;
}

static void forget(struct following *f, struct slice name)
{
    struct child *child = table_remove(&f->children, name);
    found_map_remove(&f->map, name);
    f->is_changed = true;
    if (child)
        set_lost(f, child, false);
    free(child);
}

static enum status meet(struct following *f, struct slice name)
{
    struct child *child = table_get(&f->children, name);
    if (child) {
        child->seen = f->lists;
        return OK;
    }
    child = calloc(1, sizeof *child + name.size);
    if (!child)
        return NO_MEMORY;
    child->seen = f->lists;
    child->size = name.size;
    memcpy(child->name, name.data, name.size);
    enum status e = table_put(&f->children, slice_of(child->name, child->size), child);
    if (e)
        free(child);
    return e ? e : ask(f, JUTE_DATA, name);
}

static void forget_unseen(struct following *f)
{
    struct list gone;
    list_init(&gone);
    table_each (entry, &f->children) {
        struct child *child = entry->value;
        list_init(&child->node);
        if (child->seen != f->lists)
            list_push_back(&gone, &child->node);
    }
    list_each (node, &gone) {
        const struct child *child = list_entry(node, struct child, node);
        forget(f, slice_of(child->name, child->size));
    }
}

static enum status take_children(struct following *f, struct slice body)
{
    struct slice rest, name;
    size_t count;
    if (jute_read_children(body, &count, &rest))
        return fail(f, INVALID, "a list of names makes no sense");
    f->lists++;
    for (size_t i = 0; i < count; i++) {
        enum status e = jute_read_child(&rest, &name);
        if (e)
            return fail(f, e, "a list of names makes no sense");
        e = meet(f, name);
        if (e)
            return fail(f, e, e == FULL ? "the node has too many children" : "");
    }
    forget_unseen(f);
    f->is_changed = true;
    return OK;
}

static enum status read_child(
    struct following *f, struct slice name, struct slice data, struct text *trouble)
{
    const struct zookeeper_reading reading = {.resolver = f->resolver,
        .endpoint = f->options->endpoint,
        .is_secure = f->options->is_secure};
    struct found_part *part;
    enum status e = found_map_put(&f->map, name, &part);
    if (e)
        return e;
    data = arena_copy(&part->arena, data);
    e = data.data ? zookeeper_node_read(&reading, name, data, &part->findings, trouble) : NO_MEMORY;
    if (e)
        found_map_remove(&f->map, name);
    return e;
}

/* What was said of it already is not said again each time that its name is looked up. */
static enum status take_data(struct following *f, struct child *child, struct slice body)
{
    struct slice data, name = slice_of(child->name, child->size);
    char room[200];
    struct text trouble = text_fixed(room, sizeof room);
    if (jute_read_data(body, &data))
        return fail(f, INVALID, "a node's data makes no sense");
    enum status e = read_child(f, name, data, &trouble);
    if (fiber_is_cancelled(fiber_current()))
        return CANCELLED;
    if (e && e != INVALID && e != NOT_FOUND)
        return fail(f, e, "");
    if (e == INVALID || (e == NOT_FOUND && !child->is_lost))
        finder_say(f->finder, "%.*s is left out: %.*s", SLICE_ARG(slice_head(name, 100)),
            SLICE_ARG(text_slice(&trouble)));
    set_lost(f, child, e == NOT_FOUND);
    f->is_changed = true;
    return OK;
}

/* Names may get an address later, of which nobody tells. */
static enum status look_for_lost(struct following *f)
{
    enum status e = OK;
    if (!f->lost_count)
        return OK;
    table_each (entry, &f->children) {
        const struct child *child = entry->value;
        if (!e && child->is_lost)
            e = ask(f, JUTE_DATA, entry->key);
    }
    return e;
}

/* --- answers and events */

static enum status take_error(struct following *f, const struct question *question, int32_t error)
{
    struct slice name = slice_of(question->name, question->size);
    if (error == JUTE_NO_NODE && name.size) {
        forget(f, name);
        return OK;
    }
    if (error == JUTE_NO_NODE && question->operation == JUTE_CHILDREN)
        return ask(f, JUTE_EXISTS, SLICE_NONE);
    if (error == JUTE_NO_NODE) {
        f->lists++;
        forget_unseen(f);
        f->is_changed = true;
        return OK;
    }
    if (error == JUTE_NO_RIGHT && name.size) {
        found_map_remove(&f->map, name);
        finder_say(f->finder, "%.*s is left out: it may not be read", SLICE_ARG(name));
        return OK;
    }
    return fail(f, IO_ERROR,
        error == JUTE_NO_RIGHT ? "the node may not be read" : "it answers with an error");
}

static enum status take_answer(struct following *f, const struct jute_answer *answer)
{
    struct question *question = list_entry(list_pop_front(&f->sent), struct question, node);
    struct slice name = slice_of(question->name, question->size);
    struct child *child = name.size ? table_get(&f->children, name) : NULL;
    enum status e = OK;
    f->sent_count--;
    if (answer->error)
        e = take_error(f, question, answer->error);
    else if (question->operation == JUTE_CHILDREN)
        e = take_children(f, answer->body);
    else if (question->operation == JUTE_EXISTS)
        e = ask(f, JUTE_CHILDREN, SLICE_NONE);
    else if (child)
        e = take_data(f, child, answer->body);
    free(question);
    return e;
}

/* A child that goes may have come again before it is looked for, and nobody watches that one. */
static enum status take_event(struct following *f, struct slice body)
{
    struct jute_event event;
    if (jute_read_event(body, &event))
        return fail(f, INVALID, "an event makes no sense");
    if (slice_equal(event.path, f->options->path))
        return ask(f, JUTE_CHILDREN, SLICE_NONE);
    if (event.path.size < f->options->path.size + 2)
        return OK;
    struct slice name = slice_from(event.path, f->options->path.size + 1);
    if (event.type == JUTE_DATA_CHANGED)
        return ask(f, JUTE_DATA, name);
    if (event.type == JUTE_DELETED)
        forget(f, name);
    return OK;
}

static enum status take(struct following *f, const struct jute_answer *answer)
{
    if (answer->number == JUTE_OF_EVENT)
        return take_event(f, answer->body);
    if (answer->number == JUTE_OF_AUTH)
        return answer->error ? fail(f, IO_ERROR, "it does not know the user") : OK;
    if (answer->number == JUTE_OF_PING)
        return look_for_lost(f);
    if (answer->number < 0 || list_is_empty(&f->sent))
        return fail(f, INVALID, "it answers what was not asked");
    return take_answer(f, answer);
}

/* Once nothing more is to come. */
static enum status settle(struct following *f)
{
    if (fiber_is_cancelled(fiber_current()))
        return CANCELLED;
    if (f->sent_count || !list_is_empty(&f->waiting))
        return OK;
    if (!f->is_changed) {
        finder_heard(f->finder);
        return OK;
    }
    f->is_changed = false;
    return found_map_report(&f->map, f->finder);
}

/* --- following */

static enum status connect_to(struct following *f, const struct server *server)
{
    instant deadline = loop_now() + CONNECT_TIME;
    struct arena arena;
    struct stream *stream;
    const char *trouble = "";
    f->server = server;
    arena_init(&arena, 0, 0);
    enum status e = resolver_connect(
        f->resolver, server->host, server->port, &arena, deadline, &stream, &trouble);
    arena_release(&arena);
    if (e)
        return fail(f, e, trouble);
    e = zookeeper_begin(&f->zk, stream, f->options->session, deadline);
    if (!e)
        return OK;
    trouble = f->zk.trouble;
    zookeeper_end(&f->zk);
    return fail(f, e, trouble);
}

/* Begins with any, so that not all gateways ask the same. */
static enum status connect_to_any(struct following *f)
{
    size_t count = f->options->server_count, first = random_below(loop_random(), count);
    enum status e = IO_ERROR;
    for (size_t i = 0; e && e != CANCELLED && i < count; i++)
        e = connect_to(f, &f->options->servers[(first + i) % count]);
    return e;
}

static enum status log_in(struct following *f)
{
    struct arena arena;
    const struct zookeeper_options *options = f->options;
    if (!options->user.size)
        return OK;
    arena_init(&arena, 0, 0);
    struct slice who =
        arena_format(&arena, "%.*s:%.*s", SLICE_ARG(options->user), SLICE_ARG(options->password));
    enum status e = who.data ? zookeeper_log_in(&f->zk, SLICE("digest"), who) : NO_MEMORY;
    arena_release(&arena);
    return e ? fail(f, e, f->zk.trouble) : OK;
}

static enum status converse(struct following *f)
{
    struct jute_answer answer;
    enum status e = send_some(f);
    if (e)
        return e;
    e = zookeeper_next(&f->zk, &answer);
    if (e)
        return fail(f, e, f->zk.trouble);
    e = fiber_is_cancelled(fiber_current()) ? CANCELLED : take(f, &answer);
    return e ? e : settle(f);
}

static void release(struct following *f)
{
    zookeeper_end(&f->zk);
    list_each (node, &f->waiting)
        free(list_entry(node, struct question, node));
    list_each (node, &f->sent)
        free(list_entry(node, struct question, node));
    table_each (entry, &f->children)
        free(entry->value);
    table_release(&f->children);
    found_map_release(&f->map);
}

static enum status follow(struct finder *finder, void *value)
{
    struct following f = {
        .finder = finder, .options = value, .resolver = plane_resolver(finder_plane(finder))};
    list_init(&f.waiting);
    list_init(&f.sent);
    table_init(&f.children, FOUND_MAX);
    found_map_init(&f.map);
    enum status e = connect_to_any(&f);
    if (!e)
        e = log_in(&f);
    if (!e)
        e = ask(&f, JUTE_CHILDREN, SLICE_NONE);
    while (!e)
        e = converse(&f);
    release(&f);
    return e;
}

const struct discovery zookeeper_discovery = {.scheme = "zookeeper",
    .form = "zookeeper:///PATH",
    .help = "Nodes of ZooKeeper.",
    .table = &table,
    .prepare = prepare,
    .follow = follow};
