#include "support/service_rig.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json_writer.h"
#include "config/tree.h"
#include "run/loop.h"

#define PATIENCE (20 * SECOND) /* longer than any test waits: a fake closes nothing by itself */

/* Connections that neither side has closed show themselves as descriptors. */
static int count_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

struct rig *rig_new(void)
{
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->descriptors = count_descriptors();
    rig->registry = registry_new();
    assert_non_null(rig->registry);
    assert_ok(metrics_new(0, &rig->metrics));
    assert_ok(metrics_shard_new(rig->metrics, &rig->shards[0]));
    rig->loops[0] = loop_current();
    scope_init(&rig->scope);
    struct service_plane_options options = {
        .registry = rig->registry,
        .metrics = rig->metrics,
        .workers = 1,
        .worker_loops = rig->loops,
        .shards = rig->shards,
        .control_loop = rig->loops[0],
        .control_shard = rig->shards[0],
    };
    assert_ok(service_plane_new(&options, &rig->plane));
    return rig;
}

static void end_exchange(struct rig *rig)
{
    if (!rig->has_exchange)
        return;
    if (rig->x.response.body)
        body_drop(rig->x.response.body);
    scope_end(&rig->x.scope);
    arena_release(&rig->x.arena);
    rig->has_exchange = false;
}

static void end_service(struct rig *rig)
{
    if (rig->service)
        arena_release(&rig->snapshot);
    rig->service = NULL;
}

void fake_stop(struct fake *fake)
{
    if (fake->acceptor) {
        acceptor_free(fake->acceptor);
        close(fake->descriptor);
    }
    fake->acceptor = NULL;
}

/* Connections that outlive service and worker would be leaks of the service floor: its side must
 * have closed all. */
void rig_free(struct rig *rig)
{
    end_exchange(rig);
    end_service(rig);
    service_plane_leave_worker(rig->plane, 0);
    for (int i = 0; i < 3; i++)
        fiber_sleep_until(loop_now() + MILLISECOND);
    for (int i = 0; i < rig->fake_count; i++)
        fake_stop(&rig->fakes[i]);
    scope_end(&rig->scope);
    service_plane_free(rig->plane);
    assert_int_equal(registry_count(rig->registry), 0);
    registry_free(rig->registry);
    metrics_free(rig->metrics);
    fiber_yield();
    assert_int_equal(count_descriptors(), rig->descriptors);
    free(rig);
}

int rig_setup(void **state)
{
    *state = rig_new();
    return 0;
}

int rig_teardown(void **state)
{
    rig_free(*state);
    return 0;
}

/* --- fakes */

struct visit {
    struct fake *fake;
    struct stream *stream;
    int number;
};

static void run_visit(void *argument)
{
    struct visit visit = *(struct visit *)argument;
    free(argument);
    visit.fake->open++;
    visit.fake->serve(visit.fake, visit.stream, visit.number);
    stream_close(visit.stream);
    visit.fake->open--;
}

static void accepted(void *argument, int descriptor, const struct address *peer)
{
    struct fake *fake = argument;
    struct visit *visit = calloc(1, sizeof *visit);
    if (!visit || socket_adopt(descriptor, peer, &visit->stream)) {
        free(visit);
        return;
    }
    visit->fake = fake;
    visit->number = ++fake->connections;
    if (scope_start(&fake->rig->scope, run_visit, visit)) {
        stream_close(visit->stream);
        free(visit);
    }
}

struct fake *rig_fake(struct rig *rig,
    void (*serve)(struct fake *fake, struct stream *stream, int number), void *context)
{
    return rig_fake_at(rig, "127.0.0.1:0", serve, context);
}

struct fake *rig_fake_at(struct rig *rig, const char *where,
    void (*serve)(struct fake *fake, struct stream *stream, int number), void *context)
{
    struct fake *fake = &rig->fakes[rig->fake_count++];
    struct address address, bound = {0};
    assert_true(rig->fake_count <= RIG_FAKES);
    fake->rig = rig;
    fake->serve = serve;
    fake->context = context;
    assert_ok(address_parse(slice_of_text(where), &address));
    assert_ok(socket_listen(&address, 64, &fake->descriptor));
    bound.size = sizeof bound - offsetof(struct address, any);
    assert_int_equal(getsockname(fake->descriptor, &bound.any, &bound.size), 0);
    assert_ok(acceptor_new(fake->descriptor, accepted, fake, &fake->acceptor));
    struct text text = text_fixed(fake->text, sizeof fake->text - 1);
    address_format(&bound, &text);
    return fake;
}

static bool read_more(struct fake *fake, struct stream *stream, size_t *size)
{
    size_t got;
    if (*size + 1 >= sizeof fake->last ||
        stream_read(
            stream, fake->last + *size, sizeof fake->last - 1 - *size, loop_now() + PATIENCE, &got))
        return false;
    *size += got;
    fake->last[*size] = 0;
    return true;
}

static bool read_head(struct fake *fake, struct stream *stream, size_t *size)
{
    do
        if (!read_more(fake, stream, size))
            return false;
    while (!strstr(fake->last, "\r\n\r\n"));
    fake->requests++;
    return true;
}

bool fake_read_head(struct fake *fake, struct stream *stream)
{
    size_t size = 0;
    return read_head(fake, stream, &size);
}

static bool is_whole(const char *text, size_t size)
{
    const char *body = strstr(text, "\r\n\r\n") + 4;
    const char *length = strstr(text, "Content-Length: ");
    if (strstr(text, "Transfer-Encoding: chunked"))
        return strstr(body - 2, "\r\n0\r\n\r\n") || strncmp(body, "0\r\n\r\n", 5) == 0;
    return !length || size - (size_t)(body - text) >= (size_t)atoi(length + 16);
}

bool fake_read(struct fake *fake, struct stream *stream)
{
    size_t size = 0;
    if (!read_head(fake, stream, &size))
        return false;
    while (!is_whole(fake->last, size))
        if (!read_more(fake, stream, &size))
            return false;
    return true;
}

void fake_write(struct stream *stream, const char *text)
{
    (void)stream_write(stream, text, strlen(text), loop_now() + PATIENCE, NULL);
}

void fake_answer(struct stream *stream, int status, const char *body)
{
    char text[4096];
    snprintf(text, sizeof text, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n%s", status,
        strlen(body), body);
    fake_write(stream, text);
}

void serve_politely(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    while (fake_read(fake, stream))
        fake_answer(stream, 200, "hello");
}

/* --- the service */

static const struct service *make_service(struct rig *rig, struct slice yaml)
{
    struct source source = {SLICE("test.yaml"), yaml};
    struct node *root;
    struct reader reader = {.arena = &rig->snapshot, .diagnostics = &rig->diagnostics};
    diagnostics_init(&rig->diagnostics, &rig->snapshot);
    void *options = arena_zalloc(&rig->snapshot, service_table.size);
    assert_non_null(options);
    assert_ok(tree_read(&rig->snapshot, &source, NULL, &rig->diagnostics, &root));
    assert_ok(option_read(&reader, &service_table, root, options));
    if (rig->diagnostics.errors)
        fail_msg("%.*s: %.*s", SLICE_ARG(yaml), SLICE_ARG(rig->diagnostics.items[0].message));
    const struct service *service;
    assert_ok(service_prepare(rig->plane, &reader, SLICE("demo"), options, NULL, &service));
    return service;
}

/* The new one is in use before the old one goes. */
void rig_service(struct rig *rig, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    end_exchange(rig);
    struct arena old = rig->snapshot;
    bool had_one = rig->service != NULL;
    arena_init(&rig->snapshot, 0, 0);
    struct slice yaml = arena_copy(&rig->snapshot, slice_of_text(text));
    rig->service = make_service(rig, yaml);
    service_activate(rig->service);
    if (had_one)
        arena_release(&old);
}

/* --- exchanges */

void rig_request(struct rig *rig, const char *method, const char *path)
{
    end_exchange(rig);
    struct exchange *x = &rig->x;
    memset(x, 0, sizeof *x);
    arena_init(&x->arena, 0, 0);
    scope_init(&x->scope);
    body_init_empty(&rig->no_body);
    x->request = (struct http_request){
        .method_text = slice_of_text(method),
        .method = http_method_of(slice_of_text(method)),
        .version = HTTP_1_1,
        .scheme = SLICE("http"),
        .host = SLICE("shop.example"),
        .authority = SLICE("shop.example"),
        .path = slice_of_text(path),
        .body = &rig->no_body,
    };
    x->deadline = NEVER;
    fields_init(&x->request.fields, &x->arena);
    fields_init(&x->response.fields, &x->arena);
    rig->has_exchange = true;
}

void rig_request_body(struct rig *rig, const char *bytes)
{
    rig->x.request.body = body_init_slice(&rig->body, slice_of_text(bytes));
}

enum status rig_call(struct rig *rig)
{
    return service_call(rig->service, &rig->x);
}

enum status rig_get(struct rig *rig, const char *path)
{
    rig_request(rig, "GET", path);
    return rig_call(rig);
}

enum status rig_read_body(struct rig *rig, struct slice *ret_body)
{
    size_t size = 0;
    struct slice part;
    enum status e;
    while (!(e = body_read(rig->x.response.body, loop_now() + PATIENCE, &part))) {
        assert_true(size + part.size < sizeof rig->read);
        memcpy(rig->read + size, part.data, part.size);
        size += part.size;
    }
    *ret_body = slice_of(rig->read, size);
    return e;
}

struct slice rig_body(struct rig *rig)
{
    struct slice body = SLICE_NONE;
    assert_status(rig_read_body(rig, &body), END);
    return body;
}

void rig_expect(struct rig *rig, const char *body)
{
    assert_ok(rig_get(rig, "/"));
    assert_int_equal(rig->x.response.status, 200);
    assert_slices(rig_body(rig), slice_of_text(body));
}

const char *rig_describe(struct rig *rig)
{
    struct text text = text_fixed(rig->read, sizeof rig->read - 1);
    struct json_writer writer;
    json_writer_init(&writer, &text, 0);
    service_describe(rig->service, &writer);
    assert_true(json_writer_is_done(&writer));
    rig->read[text.size] = 0;
    return rig->read;
}
