/*
 * Layer 4: the service and the load of its measurements.
 *
 *     layer4 serve PORT      answers on TCP and UDP until it is ended. A connection whose first
 * byte is 'd' gets bytes without end; any other gets back what its first piece was, and is closed,
 * unless that begins with 'k'. Datagrams come back as they are.
 *
 *     layer4 load --port P --kind stream|connect|datagram|idle [options]
 *
 *       --connections N    connections, or ports that send datagrams             (16)
 *       --seconds S        what is measured                                      (3)
 *       --warm-up S        run before that, not counted                          (0)
 *       --watch PID        add up the processor time of this process; may be given several times
 *
 * What is counted: bytes that arrived, connections from their beginning to their end, datagrams
 * that came back. Prints one JSON object. Idle connections pass one piece both ways: then one JSON
 * object says how many stand, and at a line on stdin another how many were closed meanwhile. Large
 * pieces are read without being copied (MSG_TRUNC), so that the load costs less than what it
 * measures.
 */
#include "net.h"

#include "cputime.h"

#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>

enum { EVENTS = 256, PIECE = 64, BATCH = 32, MOST = 16384, SOURCE = 1 << 20 };

static const uint64_t stall_ns = 100000000; /* a datagram that has not come back by then is lost */

/* --- the service */

struct service {
    int epoll, tcp, udp;
    char source[SOURCE];
};

/* In an event a connection that gets bytes stands in the upper half, any other in the lower. */
static void pour(struct service *s, int fd)
{
    for (;;) {
        ssize_t n = send(fd, s->source, sizeof s->source, MSG_NOSIGNAL);
        if (n > 0)
            continue;
        if (n < 0 && errno != EAGAIN)
            close(fd);
        return;
    }
}

static void answer_once(struct service *s, int fd)
{
    char piece[PIECE];
    ssize_t n = recv(fd, piece, sizeof piece, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0 && piece[0] == 'd') {
        struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.u64 = (uint64_t)fd << 32};
        epoll_ctl(s->epoll, EPOLL_CTL_MOD, fd, &event);
        pour(s, fd);
        return;
    }
    if (n > 0 && send(fd, piece, (size_t)n, MSG_NOSIGNAL) < 0)
        perror("send");
    if (n <= 0 || piece[0] != 'k')
        close(fd);
}

static void take_connections(struct service *s)
{
    for (int fd = accept_one(s->tcp); fd >= 0; fd = accept_one(s->tcp)) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = (uint64_t)fd};
        if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
            die("epoll_ctl");
    }
}

static void return_datagrams(struct service *s)
{
    static char bytes[BATCH][2048];
    struct mmsghdr heads[BATCH] = {0};
    struct sockaddr_in peers[BATCH];
    struct iovec parts[BATCH];
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){bytes[i], sizeof bytes[i]};
        heads[i].msg_hdr = (struct msghdr){.msg_name = &peers[i],
            .msg_namelen = sizeof peers[i],
            .msg_iov = &parts[i],
            .msg_iovlen = 1};
    }
    int n = recvmmsg(s->udp, heads, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++)
        parts[i].iov_len = heads[i].msg_len;
    if (n > 0 && sendmmsg(s->udp, heads, (unsigned)n, 0) < 0 && errno != EAGAIN)
        perror("sendmmsg");
}

static void serve(uint16_t port)
{
    static struct service s;
    struct sockaddr_in address = loopback(port);
    s.epoll = epoll_create1(EPOLL_CLOEXEC);
    s.tcp = listen_on(port);
    s.udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s.epoll < 0 || s.udp < 0 || bind(s.udp, (struct sockaddr *)&address, sizeof address) < 0)
        die("port %u", port);
    struct epoll_event tcp = {.events = EPOLLIN, .data.u64 = (uint64_t)s.tcp};
    struct epoll_event udp = {.events = EPOLLIN, .data.u64 = (uint64_t)s.udp};
    epoll_ctl(s.epoll, EPOLL_CTL_ADD, s.tcp, &tcp);
    epoll_ctl(s.epoll, EPOLL_CTL_ADD, s.udp, &udp);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(s.epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = (int)(uint32_t)events[i].data.u64, pours = (int)(events[i].data.u64 >> 32);
            if (pours)
                pour(&s, pours);
            else if (fd == s.tcp)
                take_connections(&s);
            else if (fd == s.udp)
                return_datagrams(&s);
            else
                answer_once(&s, fd);
        }
    }
}

/* --- the load */

enum kind { STREAM, CONNECT, DATAGRAM, IDLE };

struct load {
    uint16_t port;
    enum kind kind;
    size_t connections;
    uint64_t warm_up_ns, measure_ns;
    struct cputime_watch watched;
    int epoll;
    uint64_t units, errors;
};

struct flow {
    int fd;
    size_t got;
    uint64_t sent_at;
};

static void send_piece(struct load *l, struct flow *f, size_t size, char first)
{
    char piece[PIECE];
    memset(piece, 'x', sizeof piece);
    piece[0] = first;
    f->sent_at = now_ns();
    f->got = 0;
    if (send(f->fd, piece, size, MSG_NOSIGNAL) != (ssize_t)size)
        l->errors++;
}

static void open_flow(struct load *l, struct flow *f)
{
    struct sockaddr_in address = loopback(l->port);
    if (l->kind == DATAGRAM) {
        f->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (f->fd < 0 || connect(f->fd, (struct sockaddr *)&address, sizeof address) < 0)
            die("connect");
    } else {
        f->fd = connect_to(l->port);
        if (f->fd < 0)
            die("connect to %u", l->port);
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = f};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, f->fd, &event) < 0)
        die("epoll_ctl");
    static const char first[] = {[STREAM] = 'd', [CONNECT] = 'e', [DATAGRAM] = 'e', [IDLE] = 'k'};
    send_piece(l, f, l->kind == STREAM ? 1 : PIECE, first[l->kind]);
}

static void count_stream(struct load *l, struct flow *f)
{
    for (;;) {
        ssize_t n = recv(f->fd, NULL, SOURCE, MSG_TRUNC);
        if (n > 0)
            l->units += (uint64_t)n;
        else if (n < 0 && errno == EAGAIN)
            return;
        else
            die("a stream ended");
    }
}

static void count_connection(struct load *l, struct flow *f)
{
    char piece[PIECE];
    for (;;) {
        ssize_t n = recv(f->fd, piece, sizeof piece, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n > 0) {
            f->got += (size_t)n;
            continue;
        }
        if (n == 0 && f->got == PIECE)
            l->units++;
        else
            l->errors++;
        close(f->fd);
        open_flow(l, f);
        return;
    }
}

static void count_datagram(struct load *l, struct flow *f)
{
    char piece[PIECE];
    if (recv(f->fd, piece, sizeof piece, 0) != PIECE)
        return;
    l->units++;
    send_piece(l, f, PIECE, 'e');
}

static void count_idle(struct load *l, struct flow *f)
{
    char piece[PIECE];
    ssize_t n = recv(f->fd, piece, sizeof piece, 0);
    if (n > 0)
        l->units += (f->got += (size_t)n) == PIECE;
    else if (n == 0 || errno != EAGAIN)
        l->errors++;
}

static void find_lost(struct load *l, struct flow *flows)
{
    uint64_t now = now_ns();
    for (size_t i = 0; i < l->connections; i++) {
        if (now - flows[i].sent_at < stall_ns)
            continue;
        l->errors++;
        send_piece(l, &flows[i], PIECE, 'e');
    }
}

static void run_until(struct load *l, struct flow *flows, uint64_t end)
{
    static void (*const count[])(struct load *, struct flow *) = {[STREAM] = count_stream,
        [CONNECT] = count_connection,
        [DATAGRAM] = count_datagram,
        [IDLE] = count_idle};
    uint64_t look = now_ns() + stall_ns;
    for (uint64_t now = now_ns(); now < end; now = now_ns()) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(l->epoll, events, EVENTS, 10);
        for (int i = 0; i < n; i++)
            count[l->kind](l, events[i].data.ptr);
        if (l->kind == DATAGRAM && now > look) {
            find_lost(l, flows);
            look = now + stall_ns;
        }
    }
}

static void run_idle(struct load *l, struct flow *flows)
{
    char line;
    for (uint64_t end = now_ns() + 20 * SECOND_NS; l->units < l->connections && now_ns() < end;)
        run_until(l, flows, now_ns() + stall_ns);
    printf("{\"open\": %zu, \"errors\": %llu}\n", l->connections,
        (unsigned long long)(l->connections - l->units));
    fflush(stdout);
    while (read(STDIN_FILENO, &line, 1) == 1 && line != '\n')
        continue;
    run_until(l, flows, now_ns() + 2 * stall_ns);
    printf("{\"closed_by_proxy\": %llu}\n", (unsigned long long)l->errors);
}

static void run(struct load *l)
{
    static struct flow flows[MOST];
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < l->connections; i++)
        open_flow(l, &flows[i]);
    if (l->kind == IDLE) {
        run_idle(l, flows);
        return;
    }
    run_until(l, flows, now_ns() + l->warm_up_ns);
    uint64_t cpu = cputime_of(&l->watched), began = now_ns();
    l->units = l->errors = 0;
    run_until(l, flows, began + l->measure_ns);
    cpu = cputime_of(&l->watched) - cpu;
    printf("{\"units\": %llu, \"errors\": %llu, \"seconds\": %.6f, \"cpu_ns\": %llu}\n",
        (unsigned long long)l->units, (unsigned long long)l->errors,
        (double)(now_ns() - began) / (double)SECOND_NS, (unsigned long long)cpu);
}

static uint64_t parse_seconds(const char *text)
{
    return (uint64_t)(strtod(text, NULL) * (double)SECOND_NS);
}

static enum kind parse_kind(const char *text)
{
    if (strcmp(text, "stream") == 0)
        return STREAM;
    if (strcmp(text, "connect") == 0)
        return CONNECT;
    if (strcmp(text, "datagram") == 0)
        return DATAGRAM;
    if (strcmp(text, "idle") == 0)
        return IDLE;
    errno = EINVAL;
    die("kind \"%s\"", text);
}

static void read_options(int count, char **arguments, struct load *l)
{
    static const struct option known[] = {{"port", required_argument, NULL, 'p'},
        {"kind", required_argument, NULL, 'k'}, {"connections", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 's'}, {"warm-up", required_argument, NULL, 'u'},
        {"watch", required_argument, NULL, 'w'}, {0}};
    for (int c; (c = getopt_long(count, arguments, "", known, NULL)) != -1;) {
        switch (c) {
        case 'p':
            l->port = (uint16_t)parse_number("port", optarg, UINT16_MAX);
            break;
        case 'k':
            l->kind = parse_kind(optarg);
            break;
        case 'c':
            l->connections = parse_number("connections", optarg, MOST);
            break;
        case 's':
            l->measure_ns = parse_seconds(optarg);
            break;
        case 'u':
            l->warm_up_ns = parse_seconds(optarg);
            break;
        case 'w':
            cputime_add(&l->watched, (pid_t)parse_number("pid", optarg, INT32_MAX));
            break;
        default:
            exit(2);
        }
    }
}

int main(int count, char **arguments)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    raise_descriptor_limit();
    if (count == 3 && strcmp(arguments[1], "serve") == 0)
        serve((uint16_t)parse_number("port", arguments[2], UINT16_MAX));
    if (count < 2 || strcmp(arguments[1], "load") != 0) {
        fprintf(stderr, "layer4 serve PORT | layer4 load --port P --kind KIND ...\n");
        return 2;
    }
    static struct load load = {.connections = 16, .measure_ns = 3 * SECOND_NS};
    read_options(count - 1, arguments + 1, &load);
    run(&load);
    return 0;
}
