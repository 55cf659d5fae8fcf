/*
 * The load generator for gRPC: unary calls by HTTP/2 in clear, a number of them under way on each
 * connection all the time. Every answer's status, length and grpc-status are checked.
 *
 *     load_grpc --port P [options]
 *
 *       --connections N                                                                   (16)
 *       --calls N           under way on each of them                                     (32)
 *       --length N          of the message, which must come back                         (128)
 *       --seconds S         what is measured                                               (3)
 *       --warm-up S         run before that, not counted                                   (0)
 *       --watch PID         add up the processor time of this process; may be given several times
 *
 * The report is that of `load`.
 */
#include "h2.h"

#include "cputime.h"
#include "histogram.h"

#include <getopt.h>

enum { EVENTS = 512, PREFIX = 5, MESSAGE_MOST = 1000, WINDOW = 1 << 30 };

struct options {
    uint16_t port;
    size_t connections, calls, length;
    uint64_t warm_up_ns, measure_ns;
    struct cputime_watch watched;
};

struct link {
    struct h2_link h2;
    struct run *run; /* borrowed */
};

struct call {
    struct call *next; /* among those that wait to be used again */
    uint64_t started;
    size_t sent, received;
    bool is_answered, is_good; /* :status was 200, grpc-status 0 */
};

struct run {
    struct options options;
    int epoll;
    struct link *links; /* owned */
    struct call *spare; /* owned */
    bool measuring;
    uint64_t completed, errors;
    struct histogram latency;
    uint8_t message[PREFIX + MESSAGE_MOST];
};

static ssize_t give_message(nghttp2_session *session, int32_t id, uint8_t *room, size_t length,
    uint32_t *flags, nghttp2_data_source *source, void *argument)
{
    const struct run *r = ((struct link *)argument)->run;
    struct call *call = source->ptr;
    size_t left = PREFIX + r->options.length - call->sent;
    size_t size = left < length ? left : length;
    (void)session;
    (void)id;
    memcpy(room, r->message + call->sent, size);
    call->sent += size;
    if (size == left)
        *flags = NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)size;
}

/* What grpc-go and its kin send. */
static void begin_call(struct link *link)
{
    struct run *r = link->run;
    struct call *call = r->spare;
    nghttp2_nv head[] = {h2_field(":method", "POST"), h2_field(":scheme", "http"),
        h2_field(":path", "/shop.Orders/Get"), h2_field(":authority", "bench.example"),
        h2_field("content-type", "application/grpc"), h2_field("user-agent", "load_grpc/1"),
        h2_field("te", "trailers"), h2_field("grpc-timeout", "10S")};
    if (call == NULL)
        die("more answers than calls");
    r->spare = call->next;
    *call = (struct call){.started = now_ns()};
    nghttp2_data_provider message = {.source.ptr = call, .read_callback = give_message};
    if (nghttp2_submit_request(
            link->h2.session, NULL, head, sizeof head / sizeof *head, &message, call) < 0)
        die("nghttp2");
}

static bool is_text(const uint8_t *bytes, size_t length, const char *text)
{
    return length == strlen(text) && memcmp(bytes, text, length) == 0;
}

static int take_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags, void *argument)
{
    struct call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    (void)flags;
    (void)argument;
    if (is_text(name, name_length, ":status"))
        call->is_answered = is_text(value, value_length, "200");
    else if (is_text(name, name_length, "grpc-status"))
        call->is_good = is_text(value, value_length, "0");
    return 0;
}

static int take_message(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
    size_t length, void *argument)
{
    struct call *call = nghttp2_session_get_stream_user_data(session, id);
    (void)flags;
    (void)bytes;
    (void)argument;
    call->received += length;
    return 0;
}

static int end_call(nghttp2_session *session, int32_t id, uint32_t code, void *argument)
{
    struct link *link = argument;
    struct run *r = link->run;
    struct call *call = nghttp2_session_get_stream_user_data(session, id);
    (void)code;
    bool is_right =
        call->is_answered && call->is_good && call->received == PREFIX + r->options.length;
    r->completed += is_right;
    r->errors += !is_right;
    if (r->measuring)
        histogram_add(&r->latency, now_ns() - call->started);
    call->next = r->spare;
    r->spare = call;
    begin_call(link);
    return 0;
}

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks))
        die("nghttp2");
    nghttp2_session_callbacks_set_on_header_callback(callbacks, take_field);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, take_message);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, end_call);
    return callbacks;
}

static void open_link(struct run *r, struct link *link, const nghttp2_session_callbacks *callbacks)
{
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW}};
    link->run = r;
    link->h2.fd = connect_to(r->options.port);
    if (link->h2.fd < 0 || nghttp2_session_client_new(&link->h2.session, callbacks, link))
        die("connect to port %u", r->options.port);
    nghttp2_submit_settings(link->h2.session, NGHTTP2_FLAG_NONE, settings, 1);
    nghttp2_session_set_local_window_size(link->h2.session, NGHTTP2_FLAG_NONE, 0, WINDOW);
    for (size_t i = 0; i < r->options.calls; i++)
        begin_call(link);
    watch(r->epoll, link->h2.fd, link);
}

static void run_until(struct run *r, uint64_t until)
{
    static uint8_t block[H2_BLOCK];
    struct epoll_event events[EVENTS];
    for (uint64_t now = now_ns(); now < until; now = now_ns()) {
        int count = epoll_wait(r->epoll, events, EVENTS, (int)((until - now) / 1000000) + 1);
        for (int i = 0; i < count; i++) {
            struct link *link = events[i].data.ptr;
            if (!h2_drive(&link->h2, block))
                die("a connection has ended");
        }
    }
}

static void measure(struct run *r)
{
    run_until(r, now_ns() + r->options.warm_up_ns);
    uint64_t completed = r->completed;
    uint64_t cpu = cputime_of(&r->options.watched), began = now_ns();
    r->measuring = true;
    run_until(r, began + r->options.measure_ns);
    uint64_t ended = now_ns();
    cpu = cputime_of(&r->options.watched) - cpu;
    printf("{\"requests\": %llu, \"errors\": %llu, \"late\": 0, \"seconds\": %.6f, "
           "\"cpu_ns\": %llu, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f}\n",
        (unsigned long long)(r->completed - completed), (unsigned long long)r->errors,
        (double)(ended - began) / 1e9, (unsigned long long)cpu,
        histogram_at(&r->latency, 0.5) / 1e3, histogram_at(&r->latency, 0.99) / 1e3,
        histogram_at(&r->latency, 0.999) / 1e3);
}

static void read_options(struct options *o, int count, char **arguments)
{
    static const struct option names[] = {{"port", 1, NULL, 'p'}, {"connections", 1, NULL, 'c'},
        {"calls", 1, NULL, 'm'}, {"length", 1, NULL, 'l'}, {"seconds", 1, NULL, 's'},
        {"warm-up", 1, NULL, 'u'}, {"watch", 1, NULL, 'w'}, {0}};
    int letter;
    *o = (struct options){
        .connections = 16, .calls = 32, .length = 128, .measure_ns = 3 * SECOND_NS};
    while ((letter = getopt_long(count, arguments, "", names, NULL)) != -1) {
        if (letter == 'p')
            o->port = (uint16_t)parse_number("--port", optarg, 65535);
        else if (letter == 'c')
            o->connections = parse_number("--connections", optarg, 100000);
        else if (letter == 'm')
            o->calls = parse_number("--calls", optarg, 1000);
        else if (letter == 'l')
            o->length = parse_number("--length", optarg, MESSAGE_MOST);
        else if (letter == 's')
            o->measure_ns = (uint64_t)(strtod(optarg, NULL) * 1e9);
        else if (letter == 'u')
            o->warm_up_ns = (uint64_t)(strtod(optarg, NULL) * 1e9);
        else if (letter == 'w')
            cputime_add(&o->watched, (pid_t)parse_number("--watch", optarg, INT32_MAX));
        else
            exit(2);
    }
    if (o->port == 0) {
        fprintf(stderr, "usage: load_grpc --port P [options]\n");
        exit(2);
    }
}

/* The prefix says: not compressed, and how long (the number's first two bytes are always zero). */
static void make_message(struct run *r)
{
    r->message[3] = (uint8_t)(r->options.length >> 8);
    r->message[4] = (uint8_t)r->options.length;
    memset(r->message + PREFIX, 'm', r->options.length);
}

static void make_calls(struct run *r)
{
    size_t count = r->options.connections * r->options.calls;
    struct call *calls = calloc(count, sizeof *calls);
    if (calls == NULL)
        die("calloc");
    for (size_t i = 0; i < count; i++) {
        calls[i].next = r->spare;
        r->spare = &calls[i];
    }
}

int main(int count, char **arguments)
{
    static struct run run;
    read_options(&run.options, count, arguments);
    raise_descriptor_limit();
    make_message(&run);
    make_calls(&run);
    nghttp2_session_callbacks *callbacks = make_callbacks();
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    run.links = calloc(run.options.connections, sizeof *run.links);
    if (run.epoll < 0 || run.links == NULL)
        die("calloc");
    for (size_t i = 0; i < run.options.connections; i++)
        open_link(&run, &run.links[i], callbacks);
    measure(&run);
    return run.completed > 0 ? 0 : 1;
}
