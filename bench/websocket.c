/*
 * WebSockets: the service and the load of their measurements.
 *
 *     websocket serve PORT      agrees to every handshake and sends every message back.
 *     websocket load --port P [options]
 *
 *       --connections N    each with one message under way                       (64)
 *       --size N           bytes of a message                                    (128)
 *       --seconds S        what is measured                                      (3)
 *       --warm-up S        run before that, not counted                          (0)
 *       --watch PID        add up the processor time of this process; may be given several times
 *       --idle             one message on each connection; then waits for a line on stdin
 *
 * What is counted are messages that came back, whole and of the right length. Prints one JSON
 * object; with --idle one as all stand and one at the end.
 *
 * Frames are masked as RFC 6455 wants it, with one mask for all: the load sends the same bytes
 * again and again, and the service takes the mask off. Neither knows fragments or control frames.
 */
#include "net.h"

#include "cputime.h"

#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>

enum {
    EVENTS = 256,
    HEAD_MOST = 14,
    SIZE_MOST = 65535,
    ROOM = SIZE_MOST + HEAD_MOST,
    BINARY = 0x82,
    MASKED = 0x80
};

static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
static const char key[] = "dGhlIHNhbXBsZSBub25jZQ=="; /* RFC 6455 §1.3, as the next */
static const char accepted[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/* One end of a connection: what has come and was not used yet. */
struct end {
    int fd;
    bool is_open; /* the handshake is over */
    size_t have;
    char *bytes; /* owned, ROOM bytes; NULL: nothing has come in parts */
};

struct frame {
    size_t head, size;
    bool is_masked;
};

/* False: the head is not here yet. Only the short lengths are known. */
static bool read_head(const unsigned char *bytes, size_t have, struct frame *ret_frame)
{
    if (have < 2)
        return false;
    struct frame frame = {.head = 2, .size = bytes[1] & 127u, .is_masked = bytes[1] & MASKED};
    if (frame.size == 126) {
        if (have < 4)
            return false;
        frame = (struct frame){4, (size_t)bytes[2] << 8 | bytes[3], frame.is_masked};
    }
    frame.head += frame.is_masked ? 4 : 0;
    *ret_frame = frame;
    return have >= frame.head;
}

static size_t write_head(unsigned char *bytes, size_t size, bool is_masked)
{
    size_t at = 2;
    bytes[0] = BINARY;
    bytes[1] = (unsigned char)((size < 126 ? size : 126) | (is_masked ? MASKED : 0));
    if (size >= 126) {
        bytes[at++] = (unsigned char)(size >> 8);
        bytes[at++] = (unsigned char)size;
    }
    if (is_masked) {
        memcpy(bytes + at, mask, 4);
        at += 4;
    }
    return at;
}

/* Frames are short, and few are under way: they always fit into the socket's buffer. */
static void send_all(int fd, const void *bytes, size_t size)
{
    if (send(fd, bytes, size, MSG_NOSIGNAL) != (ssize_t)size && errno != EPIPE &&
        errno != ECONNRESET)
        die("send");
}

/* Gives the bytes at hand to `take`, which says how many it has used; keeps the rest. False: the
 * connection has ended. */
static bool read_end(struct end *end, void *owner,
    size_t (*take)(void *owner, struct end *end, char *bytes, size_t size))
{
    static char scratch[ROOM];
    for (;;) {
        char *into = end->bytes ? end->bytes : scratch;
        ssize_t got = recv(end->fd, into + end->have, ROOM - end->have, 0);
        if (got <= 0)
            return got < 0 && errno == EAGAIN;
        end->have += (size_t)got;
        size_t used = take(owner, end, into, end->have);
        end->have -= used;
        if (end->have == 0) {
            free(end->bytes);
            end->bytes = NULL;
            continue;
        }
        if (!end->bytes && !(end->bytes = malloc(ROOM)))
            die("malloc");
        memmove(end->bytes, into + used, end->have);
    }
}

static void close_end(struct end *end)
{
    close(end->fd);
    free(end->bytes);
    end->bytes = NULL;
    end->fd = -1;
}

/* --- the service */

static size_t answer_handshake(struct end *end, const char *bytes, size_t size)
{
    struct head head;
    char answer[256];
    if (!head_parse(bytes, size, &head))
        return 0;
    int length = snprintf(answer, sizeof answer,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %s\r\n\r\n",
        accepted);
    send_all(end->fd, answer, (size_t)length);
    end->is_open = true;
    return head.length;
}

static void send_back(struct end *end, const struct frame *frame, const unsigned char *bytes)
{
    static unsigned char answer[ROOM];
    const unsigned char *by = bytes + frame->head - 4, *payload = bytes + frame->head;
    size_t head = write_head(answer, frame->size, false);
    for (size_t i = 0; i < frame->size; i++)
        answer[head + i] = payload[i] ^ by[i % 4];
    send_all(end->fd, answer, head + frame->size);
}

static size_t serve_bytes(void *owner, struct end *end, char *bytes, size_t size)
{
    size_t used = 0;
    struct frame frame;
    (void)owner;
    if (!end->is_open)
        used = answer_handshake(end, bytes, size);
    while (end->is_open && read_head((unsigned char *)bytes + used, size - used, &frame) &&
           size - used >= frame.head + frame.size) {
        bool is_data = frame.is_masked && (bytes[used] & 15) <= 2;
        if (is_data)
            send_back(end, &frame, (unsigned char *)bytes + used);
        used += frame.head + frame.size;
    }
    return used;
}

static void serve(uint16_t port)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC), listener = listen_on(port);
    watch_listener(epoll, listener, NULL);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct end *end = events[i].data.ptr;
            if (end && !read_end(end, NULL, serve_bytes)) {
                close_end(end);
                free(end);
            }
            for (int fd = end ? -1 : accept_one(listener); fd >= 0; fd = accept_one(listener)) {
                struct end *fresh = calloc(1, sizeof *fresh);
                if (!fresh)
                    die("calloc");
                fresh->fd = fd;
                watch(epoll, fd, fresh);
            }
        }
    }
}

/* --- the load */

struct load {
    uint16_t port;
    size_t connections, size;
    uint64_t warm_up_ns, measure_ns;
    struct cputime_watch watched;
    bool is_idle;
    int epoll;
    struct end *ends; /* owned */
    size_t message_size;
    unsigned char message[ROOM]; /* the frame that everybody sends */
    uint64_t opened, messages, errors, closed;
};

static void ask(struct load *l, struct end *end)
{
    char request[256];
    int length = snprintf(request, sizeof request,
        "GET /users/7 HTTP/1.1\r\nHost: bench.example\r\nConnection: Upgrade\r\nUpgrade: "
        "websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
        key);
    end->fd = connect_to(l->port);
    if (end->fd < 0)
        die("connect to %u", l->port);
    watch(l->epoll, end->fd, end);
    send_all(end->fd, request, (size_t)length);
}

static size_t open_one(struct load *l, struct end *end, const char *bytes, size_t size)
{
    struct head head;
    if (!head_parse(bytes, size, &head))
        return 0;
    if (memcmp(bytes, "HTTP/1.1 101", 12) != 0) {
        errno = EPROTO;
        die("the handshake was answered with %.12s", bytes);
    }
    end->is_open = true;
    l->opened++;
    send_all(end->fd, l->message, l->message_size);
    return head.length;
}

/* Every message that is back sends the next. */
static size_t load_bytes(void *owner, struct end *end, char *bytes, size_t size)
{
    struct load *l = owner;
    struct frame frame;
    size_t used = end->is_open ? 0 : open_one(l, end, bytes, size);
    while (end->is_open && read_head((unsigned char *)bytes + used, size - used, &frame) &&
           size - used >= frame.head + frame.size) {
        bool is_right =
            (unsigned char)bytes[used] == BINARY && !frame.is_masked && frame.size == l->size;
        l->errors += !is_right;
        l->messages += is_right;
        used += frame.head + frame.size;
        if (!l->is_idle)
            send_all(end->fd, l->message, l->message_size);
    }
    return used;
}

static void wait_round(struct load *l, int milliseconds)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(l->epoll, events, EVENTS, milliseconds);
    for (int i = 0; i < count; i++) {
        struct end *end = events[i].data.ptr;
        if (end->fd >= 0 && !read_end(end, l, load_bytes)) {
            close_end(end);
            l->closed++;
        }
    }
}

static void run_until(struct load *l, uint64_t end)
{
    while (now_ns() < end)
        wait_round(l, 10);
}

/* A few at a time, so that nobody's queue overflows. */
static void open_all(struct load *l)
{
    enum { WINDOW = 32 };
    uint64_t until = now_ns() + 60 * SECOND_NS;
    for (size_t i = 0; i < l->connections; i++) {
        ask(l, &l->ends[i]);
        while (l->opened + l->closed + WINDOW <= i && now_ns() < until)
            wait_round(l, 100);
    }
    while (l->opened + l->closed < l->connections && now_ns() < until)
        wait_round(l, 100);
    if (l->opened < l->connections)
        die("only %llu WebSockets opened", (unsigned long long)l->opened);
}

static void run_idle(struct load *l)
{
    char line;
    uint64_t until = now_ns() + 20 * SECOND_NS;
    while (l->messages + l->errors < l->connections && now_ns() < until)
        wait_round(l, 100);
    printf("{\"open\": %zu, \"errors\": %llu}\n", l->connections,
        (unsigned long long)(l->connections - l->messages));
    fflush(stdout);
    while (read(STDIN_FILENO, &line, 1) == 1 && line != '\n')
        ;
    for (size_t seen = 0; seen <= l->connections; seen += EVENTS)
        wait_round(l, 0);
    printf("{\"closed_by_proxy\": %llu}\n", (unsigned long long)l->closed);
}

static void run_timed(struct load *l)
{
    run_until(l, now_ns() + l->warm_up_ns);
    uint64_t cpu = cputime_of(&l->watched), began = now_ns();
    l->messages = l->errors = l->closed = 0;
    run_until(l, began + l->measure_ns);
    cpu = cputime_of(&l->watched) - cpu;
    l->errors += l->closed;
    printf("{\"units\": %llu, \"errors\": %llu, \"seconds\": %.6f, \"cpu_ns\": %llu}\n",
        (unsigned long long)l->messages, (unsigned long long)l->errors,
        (double)(now_ns() - began) / (double)SECOND_NS, (unsigned long long)cpu);
}

static void make_message(struct load *l)
{
    size_t head = write_head(l->message, l->size, true);
    for (size_t i = 0; i < l->size; i++)
        l->message[head + i] = (unsigned char)('a' + i % 26) ^ mask[i % 4];
    l->message_size = head + l->size;
}

static void read_options(int count, char **arguments, struct load *l)
{
    static const struct option known[] = {{"port", 1, NULL, 'p'}, {"connections", 1, NULL, 'c'},
        {"size", 1, NULL, 'z'}, {"seconds", 1, NULL, 's'}, {"warm-up", 1, NULL, 'u'},
        {"watch", 1, NULL, 'w'}, {"idle", 0, NULL, 'i'}, {0}};
    for (int c; (c = getopt_long(count, arguments, "", known, NULL)) != -1;) {
        if (c == 'p')
            l->port = (uint16_t)parse_number("port", optarg, UINT16_MAX);
        else if (c == 'c')
            l->connections = parse_number("connections", optarg, 1000000);
        else if (c == 'z')
            l->size = parse_number("size", optarg, SIZE_MOST);
        else if (c == 's')
            l->measure_ns = (uint64_t)(strtod(optarg, NULL) * (double)SECOND_NS);
        else if (c == 'u')
            l->warm_up_ns = (uint64_t)(strtod(optarg, NULL) * (double)SECOND_NS);
        else if (c == 'w')
            cputime_add(&l->watched, (pid_t)parse_number("pid", optarg, INT32_MAX));
        else if (c == 'i')
            l->is_idle = true;
        else
            exit(2);
    }
}

int main(int count, char **arguments)
{
    static struct load load = {.connections = 64, .size = 128, .measure_ns = 3 * SECOND_NS};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    raise_descriptor_limit();
    if (count == 3 && strcmp(arguments[1], "serve") == 0)
        serve((uint16_t)parse_number("port", arguments[2], UINT16_MAX));
    if (count < 2 || strcmp(arguments[1], "load") != 0) {
        fprintf(stderr, "usage: websocket serve PORT | websocket load --port P [options]\n");
        return 2;
    }
    read_options(count - 1, arguments + 1, &load);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.ends = calloc(load.connections, sizeof *load.ends);
    if (load.epoll < 0 || !load.ends)
        die("calloc");
    make_message(&load);
    open_all(&load);
    if (load.is_idle)
        run_idle(&load);
    else
        run_timed(&load);
    return 0;
}
