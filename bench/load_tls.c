/*
 * The load generator for HTTPS: TLS 1.3, requests on connections that stay or on new ones.
 *
 *     load_tls --port P [options]
 *
 *       --mode keep-alive   asks again and again on each connection                  (the default)
 *              full         each request on a new connection, with a whole handshake
 *              resumed      each on a new connection that resumes a session
 *              idle         one request on each connection; then waits for a line on stdin
 *              websocket    the same of a handshake and a message, which must come back
 *       --connections N                                                                   (64)
 *       --seconds S         what is measured                                               (3)
 *       --warm-up S         run before that, not counted                                   (0)
 *       --length N          what every body must measure                                 (128)
 *       --watch PID         add up the processor time of this process; may be given several times
 *
 * The loop is closed, and an answer must be a 200 with a body of the right length. The report is
 * that of `load`.
 */
#include "net.h"
#include "cputime.h"
#include "histogram.h"

#include <getopt.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

enum mode { KEEP_ALIVE, FULL, RESUMED, IDLE, WEBSOCKET };
static const char *const mode_names[] = {
    "keep-alive", "full", "resumed", "idle", "websocket", NULL};

enum { EVENTS = 512, ROOM = 16384 };

static const char request[] = "GET /users/7 HTTP/1.1\r\nHost: bench.example\r\n"
                              "User-Agent: load/1\r\nAccept: */*\r\n\r\n";

/* A handshake, and at once the message "hello", masked with zeros. */
static const char upgrade[] = "GET /users/7 HTTP/1.1\r\nHost: bench.example\r\n"
                              "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                              "Sec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                              "\x82\x85\0\0\0\0hello";
static const char echo[] = "\x82\5hello";

struct options {
    uint16_t port;
    enum mode mode;
    size_t connections;
    uint64_t warm_up_ns, measure_ns, length;
    struct cputime_watch watched;
};

enum stage { SHAKING, ASKING, HEARING, RESTING };

struct conn {
    int fd;
    SSL *ssl;             /* owned */
    SSL_SESSION *session; /* owned: to be resumed, or NULL */
    enum stage stage;
    bool is_asked; /* an answer is owed */
    uint64_t started;
    size_t have; /* bytes of the answer */
    char answer[1024];
};

struct run {
    struct options options;
    int epoll;
    SSL_CTX *context;
    struct conn *conns; /* owned */
    bool measuring;
    uint64_t completed, errors, resumed, in_flight, closed;
    struct histogram latency;
};

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct conn *c = SSL_get_app_data(ssl);
    SSL_SESSION_free(c->session);
    c->session = session;
    return 1;
}

static void open_conn(struct run *r, struct conn *c)
{
    c->fd = connect_to(r->options.port);
    c->ssl = SSL_new(r->context);
    if (c->fd < 0 || !c->ssl || !SSL_set_fd(c->ssl, c->fd))
        die("connect to port %u", r->options.port);
    SSL_set_app_data(c->ssl, c);
    SSL_set_tlsext_host_name(c->ssl, "bench.example");
    SSL_set_connect_state(c->ssl);
    if (r->options.mode == RESUMED && c->session)
        SSL_set_session(c->ssl, c->session);
    c->stage = SHAKING;
    c->have = 0;
    watch(r->epoll, c->fd, c);
}

static void close_conn(struct conn *c)
{
    SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(c->ssl);
    close(c->fd);
}

static void drive(struct run *r, struct conn *c);

static void begin(struct run *r, struct conn *c)
{
    c->started = now_ns();
    c->is_asked = true;
    r->in_flight++;
    if (c->stage == RESTING)
        c->stage = ASKING;
    drive(r, c);
}

static void fail(struct run *r, struct conn *c)
{
    close_conn(c);
    if (c->stage == RESTING) {
        r->closed++;
        c->fd = -1;
        return;
    }
    r->errors++;
    r->in_flight--;
    c->is_asked = false;
    open_conn(r, c);
}

static void finish(struct run *r, struct conn *c)
{
    r->in_flight--;
    c->is_asked = false;
    r->completed++;
    r->resumed += (uint64_t)SSL_session_reused(c->ssl);
    if (r->measuring)
        histogram_add(&r->latency, now_ns() - c->started);
    c->stage = RESTING;
    c->have = 0;
    if (r->options.mode == FULL || r->options.mode == RESUMED) {
        close_conn(c);
        open_conn(r, c);
    }
}

static int judge_echo(const struct conn *c, size_t head)
{
    size_t have = c->have - head, size = sizeof echo - 1;
    if (memcmp(c->answer, "HTTP/1.1 101", 12) != 0 || have > size ||
        memcmp(c->answer + head, echo, have) != 0)
        return -1;
    return have == size;
}

/* 1: the answer is whole; 0: not yet; -1: it is wrong. */
static int judge(const struct run *r, const struct conn *c)
{
    struct head head;
    if (!head_parse(c->answer, c->have, &head))
        return c->have == sizeof c->answer ? -1 : 0;
    if (r->options.mode == WEBSOCKET)
        return judge_echo(c, head.length);
    if (memcmp(c->answer, "HTTP/1.1 200", 12) != 0 || head.body != r->options.length)
        return -1;
    return c->have == head.length + head.body;
}

/* As far as it goes without waiting. */
static void drive(struct run *r, struct conn *c)
{
    for (;;) {
        int result, verdict = 0;
        ERR_clear_error();
        if (c->stage == SHAKING) {
            result = SSL_do_handshake(c->ssl);
        } else if (c->stage == ASKING) {
            bool is_upgrade = r->options.mode == WEBSOCKET;
            result = is_upgrade ? SSL_write(c->ssl, upgrade, sizeof upgrade - 1)
                                : SSL_write(c->ssl, request, sizeof request - 1);
        } else {
            char *at = c->answer + c->have;
            result = SSL_read(c->ssl, at, (int)(sizeof c->answer - c->have));
        }
        if (result <= 0) {
            int why = SSL_get_error(c->ssl, result);
            if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
                fail(r, c);
            return;
        }
        if (c->stage == HEARING) {
            c->have += (size_t)result;
            verdict = judge(r, c);
        }
        if (verdict > 0) {
            finish(r, c);
            return;
        }
        if (verdict < 0 || c->stage == RESTING) {
            fail(r, c);
            return;
        }
        if (c->stage != HEARING)
            c->stage++;
    }
}

static void wait_round(struct run *r, uint64_t until)
{
    struct epoll_event events[EVENTS];
    uint64_t now = now_ns(), wait = until > now ? until - now : 0;
    struct timespec timeout = {(time_t)(wait / SECOND_NS), (long)(wait % SECOND_NS)};
    int count = epoll_pwait2(r->epoll, events, EVENTS, &timeout, NULL);
    for (int i = 0; i < count; i++) {
        struct conn *c = events[i].data.ptr;
        if (c->fd >= 0)
            drive(r, c);
    }
}

static void run_until(struct run *r, uint64_t until)
{
    while (now_ns() < until) {
        for (size_t i = 0; i < r->options.connections; i++)
            if (!r->conns[i].is_asked)
                begin(r, &r->conns[i]);
        wait_round(r, until);
    }
}

static void run_timed(struct run *r)
{
    run_until(r, now_ns() + r->options.warm_up_ns);
    uint64_t completed = r->completed, errors = r->errors, resumed = r->resumed;
    uint64_t cpu = cputime_of(&r->options.watched), began = now_ns();
    r->measuring = true;
    run_until(r, began + r->options.measure_ns);
    uint64_t ended = now_ns();
    cpu = cputime_of(&r->options.watched) - cpu;
    printf("{\"requests\": %llu, \"errors\": %llu, \"late\": 0, \"resumed\": %llu, "
           "\"seconds\": %.6f, \"cpu_ns\": %llu, \"p50_us\": %.1f, \"p99_us\": %.1f, "
           "\"p999_us\": %.1f}\n",
        (unsigned long long)(r->completed - completed), (unsigned long long)(r->errors - errors),
        (unsigned long long)(r->resumed - resumed), (double)(ended - began) / 1e9,
        (unsigned long long)cpu, histogram_at(&r->latency, 0.5) / 1e3,
        histogram_at(&r->latency, 0.99) / 1e3, histogram_at(&r->latency, 0.999) / 1e3);
}

/* Says when all have had their answer, and holds them. */
static void run_idle(struct run *r)
{
    enum { WINDOW = 32 };
    for (size_t i = 0; i < r->options.connections; i += WINDOW) {
        uint64_t until = now_ns() + 20 * SECOND_NS;
        for (size_t j = i; j < i + WINDOW && j < r->options.connections; j++) {
            open_conn(r, &r->conns[j]);
            begin(r, &r->conns[j]);
        }
        while (r->in_flight > 0 && now_ns() < until)
            wait_round(r, until);
    }
    printf("{\"open\": %zu, \"errors\": %llu}\n", r->options.connections,
        (unsigned long long)r->errors);
    fflush(stdout);
    char line;
    while (read(STDIN_FILENO, &line, 1) == 1 && line != '\n')
        ;
    for (size_t seen = 0; seen <= r->options.connections; seen += EVENTS)
        wait_round(r, 0);
    printf("{\"closed_by_proxy\": %llu}\n", (unsigned long long)r->closed);
}

static enum mode parse_mode(const char *text)
{
    for (int i = 0; mode_names[i]; i++)
        if (strcmp(text, mode_names[i]) == 0)
            return (enum mode)i;
    errno = EINVAL;
    die("--mode \"%s\"", text);
}

static void read_options(struct options *o, int count, char **arguments)
{
    static const struct option names[] = {{"port", 1, NULL, 'p'}, {"mode", 1, NULL, 'm'},
        {"connections", 1, NULL, 'c'}, {"seconds", 1, NULL, 's'}, {"warm-up", 1, NULL, 'u'},
        {"length", 1, NULL, 'l'}, {"watch", 1, NULL, 'w'}, {0}};
    int letter;
    *o = (struct options){.connections = 64, .measure_ns = 3 * SECOND_NS, .length = 128};
    while ((letter = getopt_long(count, arguments, "", names, NULL)) != -1) {
        if (letter == 'p')
            o->port = (uint16_t)parse_number("--port", optarg, 65535);
        else if (letter == 'm')
            o->mode = parse_mode(optarg);
        else if (letter == 'c')
            o->connections = parse_number("--connections", optarg, 1000000);
        else if (letter == 's')
            o->measure_ns = (uint64_t)(strtod(optarg, NULL) * 1e9);
        else if (letter == 'u')
            o->warm_up_ns = (uint64_t)(strtod(optarg, NULL) * 1e9);
        else if (letter == 'l')
            o->length = parse_number("--length", optarg, UINT64_MAX);
        else if (letter == 'w')
            cputime_add(&o->watched, (pid_t)parse_number("--watch", optarg, INT32_MAX));
        else
            exit(2);
    }
    if (o->port == 0) {
        fprintf(stderr, "usage: load_tls --port P [options]\n");
        exit(2);
    }
}

static SSL_CTX *make_context(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") ||
        !SSL_CTX_set1_groups_list(context, "X25519"))
        die("OpenSSL");
    SSL_CTX_set_session_cache_mode(
        context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(context, keep_session);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context, 1);
    return context;
}

int main(int count, char **arguments)
{
    struct run *r = calloc(1, sizeof *r);
    if (!r)
        die("calloc");
    read_options(&r->options, count, arguments);
    raise_descriptor_limit();
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    r->context = make_context();
    r->conns = calloc(r->options.connections, sizeof *r->conns);
    if (r->epoll < 0 || !r->conns)
        die("calloc");
    if (r->options.mode == IDLE || r->options.mode == WEBSOCKET) {
        run_idle(r);
        return r->completed > 0 ? 0 : 1;
    }
    for (size_t i = 0; i < r->options.connections; i++)
        open_conn(r, &r->conns[i]);
    run_timed(r);
    return r->completed > 0 ? 0 : 1;
}
