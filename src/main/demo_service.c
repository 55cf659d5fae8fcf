#include "main/demo_service.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/embedded.h"
#include "base/json.h"
#include "config/unit.h"
#include "http/uri.h"
#include "run/loop.h"
#include "run/mailbox.h"

#define DEMO_BODY_MAX   ((size_t)4096)
#define DEMO_TIME       (10 * SECOND)
#define DEMO_FIRST_PORT 9001

static const struct http_options http = {.head_timeout = 10 * SECOND,
    .body_timeout = 10 * SECOND,
    .keep_alive = 120 * SECOND,
    .line_max = 8192,
    .head_max = 32768,
    .fields_max = 100,
    .trailers_max = 1024};
static const struct server_rules rules = {
    .http = &http, .limits = H1_LIMITS_DEFAULT, .trusted = &server_trusts_nobody};

static enum status respond_json(struct exchange *x, int status, struct slice json)
{
    return json.data ? exchange_respond(x, status, SLICE("application/json"), json) : NO_MEMORY;
}

static enum status respond_error(struct exchange *x, int status, const char *text)
{
    return respond_json(x, status, arena_format(&x->arena, "{\"error\":\"%s\"}\n", text));
}

/* The path behind "/NAME": "", "/", "/7". */
static struct slice rest_of(const struct demo_service *service, const struct exchange *x)
{
    return slice_from(x->request.path, strlen(service->name) + 1);
}

static struct demo_item *find_item(struct demo_service *service, struct slice id)
{
    uint64_t number;
    if (!slice_to_u64(id, &number))
        return NULL;
    for (size_t i = 0; i < DEMO_ITEMS_MAX; i++)
        if (service->items[i].id == number && number)
            return &service->items[i];
    return NULL;
}

static void add_item_json(const struct demo_item *item, struct text *text)
{
    text_format(text, "{\"id\":%llu%s%s}", (unsigned long long)item->id, item->text[0] ? "," : "",
        item->text);
}

static enum status respond_item(struct exchange *x, int status, const struct demo_item *item)
{
    char *json = arena_bytes(&x->arena, sizeof item->text + 64);
    if (!json)
        return NO_MEMORY;
    struct text text = text_fixed(json, sizeof item->text + 64);
    add_item_json(item, &text);
    text_add_char(&text, '\n');
    return respond_json(x, status, text_slice(&text));
}

static enum status respond_list(struct demo_service *service, struct exchange *x)
{
    size_t size = DEMO_ITEMS_MAX * (sizeof service->items[0].text + 64);
    char *json = arena_bytes(&x->arena, size);
    if (!json)
        return NO_MEMORY;
    struct text text = text_fixed(json, size);
    bool is_first = true;
    text_add_char(&text, '[');
    for (uint64_t id = 1; id <= service->last_id; id++) {
        const struct demo_item *item = &service->items[id % DEMO_ITEMS_MAX];
        if (item->id != id)
            continue;
        text_add(&text, is_first ? SLICE("") : SLICE(","));
        add_item_json(item, &text);
        is_first = false;
    }
    text_add_literal(&text, "]\n");
    return respond_json(x, 200, text_slice(&text));
}

static struct demo_item *new_item(struct demo_service *service, struct slice members)
{
    struct demo_item *item = &service->items[++service->last_id % DEMO_ITEMS_MAX];
    item->id = service->last_id;
    snprintf(item->text, sizeof item->text, "%.*s", SLICE_ARG(members));
    return item;
}

/* The members of a JSON object that a client sent, written anew; false when it sent none or one
 * that is too long to keep. */
static bool members_of(struct exchange *x, struct slice body, struct slice *ret_members)
{
    struct json_value *root;
    if (json_parse(&x->arena, body, NULL, &root, NULL) || root->type != JSON_OBJECT)
        return false;
    char *json = arena_bytes(&x->arena, DEMO_BODY_MAX * 2);
    if (!json)
        return false;
    struct text text = text_fixed(json, DEMO_BODY_MAX * 2);
    struct json_writer writer;
    json_writer_init(&writer, &text, 0);
    json_write_value(&writer, root);
    *ret_members = slice_of(json + 1, text.size - 2);
    return !text.failed && text.size - 2 < sizeof((struct demo_item *)0)->text;
}

static enum status create_item(struct demo_service *service, struct exchange *x)
{
    struct slice body, members;
    enum status e =
        body_read_all(x->request.body, &x->arena, DEMO_BODY_MAX, loop_now() + DEMO_TIME, &body);
    if (e)
        return e == TOO_LARGE ? BODY_TOO_LARGE : e;
    if (!members_of(x, body, &members))
        return respond_error(x, 400, "send a small JSON object");
    return respond_item(x, 201, new_item(service, members));
}

/* GET /NAME, GET /NAME/7, POST /NAME, DELETE /NAME/7. */
static enum status serve_items(struct demo_service *service, struct exchange *x)
{
    struct slice rest = rest_of(service, x);
    bool is_all = rest.size <= 1;
    if (is_all && x->request.method == METHOD_POST)
        return create_item(service, x);
    if (is_all)
        return respond_list(service, x);
    struct demo_item *item = find_item(service, slice_from(rest, 1));
    if (!item)
        return respond_error(x, 404, "there is none with that id");
    if (x->request.method != METHOD_DELETE)
        return respond_item(x, 200, item);
    item->id = 0;
    return exchange_respond(x, 204, SLICE_NONE, SLICE_NONE);
}

static enum status serve_users(struct demo_service *service, struct exchange *x)
{
    if (slice_equal(x->request.path, SLICE("/login")))
        return respond_json(x, 200, SLICE("{\"token\":\"a-token-of-the-demo\"}\n"));
    return serve_items(service, x);
}

static enum status serve_page(struct demo_service *service, struct exchange *x)
{
    (void)service;
    return exchange_respond(
        x, 200, SLICE("text/html; charset=utf-8"), embedded_file(SLICE("demo.html")));
}

/* PUT /NAME/_switch?latency=300ms&fail=20% */
static enum status turn_switch(struct demo_service *service, struct exchange *x)
{
    const char *problem;
    struct slice latency = uri_query_value(&x->arena, x->request.query, SLICE("latency"));
    struct slice fail = uri_query_value(&x->arena, x->request.query, SLICE("fail"));
    int64_t wait = service->latency;
    double share = service->failing;
    if (latency.data && unit_parse_duration(latency, &wait, &problem))
        return respond_error(x, 400, problem);
    if (fail.data && unit_parse_share(fail, &share, &problem))
        return respond_error(x, 400, problem);
    service->latency = wait < DEMO_TIME ? wait : DEMO_TIME;
    service->failing = share;
    return respond_json(x, 200,
        arena_format(&x->arena, "{\"latency_ms\":%lld,\"fail\":%g}\n",
            (long long)(service->latency / MILLISECOND), service->failing));
}

static enum status serve(struct server *server, struct exchange *x)
{
    struct demo_service *service = (struct demo_service *)server;
    service->requests++;
    if (slice_equal(x->request.path, SLICE("/healthz")))
        return exchange_respond(x, 200, SLICE("text/plain"), SLICE("ok\n"));
    if (slice_equal(rest_of(service, x), SLICE("/_switch")))
        return turn_switch(service, x);
    if (service->latency && fiber_sleep_until(loop_now() + service->latency))
        return CANCELLED;
    if (service->failing * 1e6 > (double)random_below(loop_random(), 1000000))
        return respond_error(x, 500, "the demo was told to fail");
    return service->serve(service, x);
}

static const struct server_ops ops = {.begin = server_begin_fixed,
    .serve = serve,
    .finish = server_forget,
    .abandon = server_forget,
    .closed = server_forget_closed,
    .rules = server_rules_fixed,
    .fixed_rules = &rules};

#define SERVICES 5

struct demo {
    struct demo_service services[SERVICES];
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_ready;
    bool may_end; /* nobody posts to the loop any more */
    enum status result;
    struct loop *loop;
    struct message stop;
};

static void accepted(void *argument, int descriptor, const struct address *peer)
{
    struct demo_service *service = argument;
    server_accept(&service->server, descriptor, peer, &service->entrance);
}

static enum status listen_at(uint16_t port, int *ret_descriptor)
{
    struct address address;
    enum status e = address_parse_ip(SLICE("127.0.0.1"), port, &address);
    return e ? e : socket_listen(&address, 128, ret_descriptor);
}

static enum status open_service(struct demo_service *service, uint16_t port)
{
    struct address bound = {.size = sizeof bound.local};
    enum status e = listen_at(port, &service->descriptor);
    if (e == EXISTS)
        e = listen_at(0, &service->descriptor);
    if (e)
        return e;
    if (getsockname(service->descriptor, &bound.any, &bound.size))
        return IO_ERROR;
    service->port = address_port(&bound);
    server_init(&service->server, &ops, 0);
    return acceptor_new(service->descriptor, accepted, service, &service->acceptor);
}

static void fill(struct demo_service *services)
{
    new_item(&services[0], SLICE("\"name\":\"Ada\",\"plan\":\"pro\""));
    new_item(&services[0], SLICE("\"name\":\"Grace\",\"plan\":\"free\""));
    new_item(&services[1], SLICE("\"user\":1,\"total\":42,\"state\":\"shipped\""));
    new_item(&services[1], SLICE("\"user\":2,\"total\":7,\"state\":\"open\""));
    new_item(&services[3], SLICE("\"user\":1,\"item\":\"tea\",\"count\":2"));
}

static enum status open_all(struct demo *demo)
{
    static const char *const names[SERVICES] = {"users", "orders", "payments", "cart", "page"};
    static demo_serve *const serves[SERVICES] = {
        serve_users, serve_items, serve_items, serve_items, serve_page};
    enum status e = OK;
    for (int i = 0; i < SERVICES && !e; i++) {
        struct demo_service *service = &demo->services[i];
        service->name = names[i];
        service->entrance.name = slice_of_text(names[i]);
        service->serve = serves[i];
        service->descriptor = -1;
        e = open_service(service, (uint16_t)(DEMO_FIRST_PORT + i));
    }
    fill(demo->services);
    return e;
}

static void close_all(struct demo *demo)
{
    for (int i = 0; i < SERVICES; i++) {
        struct demo_service *service = &demo->services[i];
        if (service->acceptor)
            acceptor_free(service->acceptor);
        if (service->descriptor >= 0)
            close(service->descriptor);
        if (service->server.ops)
            server_cut(&service->server);
    }
}

static void stop_here(struct message *message)
{
    struct demo *demo = (struct demo *)((char *)message - offsetof(struct demo, stop));
    close_all(demo);
    loop_stop(demo->loop);
}

static void *run(void *argument)
{
    struct demo *demo = argument;
    enum status e = loop_new(NULL, &demo->loop);
    if (!e) {
        e = open_all(demo);
        if (e)
            close_all(demo);
    }
    pthread_mutex_lock(&demo->mutex);
    demo->is_ready = true;
    demo->result = e;
    pthread_cond_signal(&demo->changed);
    pthread_mutex_unlock(&demo->mutex);
    if (!e) {
        loop_run(demo->loop);
        pthread_mutex_lock(&demo->mutex);
        while (!demo->may_end)
            pthread_cond_wait(&demo->changed, &demo->mutex);
        pthread_mutex_unlock(&demo->mutex);
    }
    if (demo->loop)
        loop_free(demo->loop);
    return NULL;
}

enum status demo_start(struct demo **ret_demo)
{
    struct demo *demo = calloc(1, sizeof *demo);
    if (!demo)
        return NO_MEMORY;
    pthread_mutex_init(&demo->mutex, NULL);
    pthread_cond_init(&demo->changed, NULL);
    if (pthread_create(&demo->thread, NULL, run, demo)) {
        free(demo);
        return NO_MEMORY;
    }
    pthread_mutex_lock(&demo->mutex);
    while (!demo->is_ready)
        pthread_cond_wait(&demo->changed, &demo->mutex);
    pthread_mutex_unlock(&demo->mutex);
    enum status e = demo->result;
    if (e) {
        pthread_join(demo->thread, NULL);
        free(demo);
        return e;
    }
    *ret_demo = demo;
    return OK;
}

void demo_stop(struct demo *demo)
{
    if (!demo)
        return;
    demo->stop.deliver = stop_here;
    mailbox_post(demo->loop, &demo->stop);
    pthread_mutex_lock(&demo->mutex);
    demo->may_end = true;
    pthread_cond_signal(&demo->changed);
    pthread_mutex_unlock(&demo->mutex);
    pthread_join(demo->thread, NULL);
    free(demo);
}

uint16_t demo_port(const struct demo *demo, const char *name)
{
    for (int i = 0; i < SERVICES; i++)
        if (strcmp(demo->services[i].name, name) == 0)
            return demo->services[i].port;
    return 0;
}
