/*
 * The load generator: one thread, N keep-alive connections, every answer's status and length
 * checked. It must cost less than what it measures, so it reads large bodies without copying them
 * (MSG_TRUNC), handles everything that is ready before it sends anything, and formats nothing while
 * it runs.
 *
 *     load --port P [options]
 *
 *       --path /a          asked for; may be given several times, then taken in turn      (/)
 *       --field "Name: v" sent with every request; may be given several times
 *       --each-field FILE a line for each request, in turn: "Name: value"
 *       --length N         what every body must measure                                   (128)
 *       --connections N                                                                   (64)
 *       --seconds S        what is measured                                               (3)
 *       --warm-up S        run before that, not counted                                   (0)
 *       --rate R           R requests a second at even distances, whether or not the answers come
 *       --upload N         POST with a body of N bytes instead of GET
 *       --watch PID        add up the processor time of this process; may be given several times
 *       --idle             one request on each connection; then wait for a line on stdin
 *
 * Without --rate the loop is closed: a connection asks again as soon as it is answered, which finds
 * the most that a proxy can do. With --rate a request's latency runs from the moment it was due,
 * not from the moment a connection was free for it, so that a stall is felt by everyone who would
 * have come in the meantime (Gil Tene's "coordinated omission").
 *
 * Prints one JSON object.
 */
#include "net.h"

#include "histogram.h"
#include "cputime.h"

#include <getopt.h>
#include <sys/prctl.h>

enum {
    PATHS_MOST = 64,
    FIELDS_MOST = 16,
    READ_SIZE = 4096,
    UPLOAD_BLOCK = 1 << 20,
    EARLY_MOST = 2 * READ_SIZE,
    EVENTS = 512
};

/* At a fixed rate, how long a request may wait for others that fall due, so that one wake-up sends
 * several. It is part of their latency, for every proxy alike. */
static const uint64_t tick_ns = 50000;

struct options {
    uint16_t port;
    const char *paths[PATHS_MOST];
    size_t path_count;
    const char *fields[FIELDS_MOST];
    size_t field_count;
    const char *each_field; /* a file; NULL: none */
    uint64_t length;
    size_t connections;
    uint64_t warm_up_ns, measure_ns;
    double rate; /* 0: closed loop */
    uint64_t upload;
    struct cputime_watch watched;
    bool idle;
};

struct request {
    char *head; /* owned */
    size_t length;
};

enum stage { STAGE_FREE, STAGE_SENDING, STAGE_HEAD, STAGE_BODY };

struct conn {
    int fd;
    enum stage stage;
    const struct request *request; /* borrowed from the run */
    uint64_t sent;                 /* bytes of the request, head and body */
    uint64_t body_left;            /* of the answer */
    uint64_t started;              /* when it was sent, or due */
    struct conn *next;             /* among those to send now, or the free ones */
    size_t early_length;
    char early[EARLY_MOST]; /* the beginning of a head that came in parts */
};

/* A first-in, first-out list of connections. */
struct queue {
    struct conn *first, *last;
};

struct run {
    struct options options;
    int epoll;
    struct conn *conns;       /* owned */
    struct request *requests; /* owned */
    size_t request_count, turn;
    struct queue ready; /* to send in this round */
    struct queue free;  /* open loop: waiting for their turn */
    char *scratch;      /* owned */
    uint64_t begin, end, next_due, cpu_begin, cpu_used, late;
    bool measuring;
    uint64_t completed, errors, reconnects, in_flight;
    struct histogram latency;
};

static void queue_add(struct queue *q, struct conn *c)
{
    c->next = NULL;
    if (q->first == NULL)
        q->first = c;
    else
        q->last->next = c;
    q->last = c;
}

static struct conn *queue_take(struct queue *q)
{
    struct conn *c = q->first;
    if (c != NULL)
        q->first = c->next;
    return c;
}

static void open_conn(struct run *r, struct conn *c)
{
    c->fd = connect_to(r->options.port);
    if (c->fd < 0)
        die("connect to port %u", r->options.port);
    c->stage = STAGE_FREE;
    c->early_length = 0;
    watch(r->epoll, c->fd, c);
}

/* The connection is free again: ask again at once, or when something is due. */
static void set_free(struct run *r, struct conn *c)
{
    c->stage = STAGE_FREE;
    if (r->options.idle)
        return;
    queue_add(r->options.rate > 0 ? &r->free : &r->ready, c);
}

/* The connection broke. That is an error if an answer was owed on it, or would be useless now. */
static void reconnect(struct run *r, struct conn *c)
{
    bool owed = c->stage != STAGE_FREE;
    close(c->fd);
    r->reconnects++;
    if (owed) {
        r->errors++;
        r->in_flight--;
    }
    open_conn(r, c);
    if (owed)
        set_free(r, c);
}

static void finish(struct run *r, struct conn *c)
{
    r->in_flight--;
    r->completed++;
    if (r->measuring)
        histogram_add(&r->latency, now_ns() - c->started);
    set_free(r, c);
}

/* Sends what of the request is still unsent. */
static void send_request(struct run *r, struct conn *c)
{
    uint64_t total = c->request->length + r->options.upload;
    while (c->sent < total) {
        bool in_head = c->sent < c->request->length;
        const char *from = in_head ? c->request->head + c->sent : r->scratch;
        uint64_t left = in_head ? c->request->length - c->sent : total - c->sent;
        size_t block = left < UPLOAD_BLOCK ? (size_t)left : UPLOAD_BLOCK;
        int more = in_head && r->options.upload > 0 ? MSG_MORE : 0;
        ssize_t sent = send(c->fd, from, block, MSG_NOSIGNAL | more);
        if (sent < 0) {
            if (errno != EAGAIN)
                reconnect(r, c);
            return;
        }
        c->sent += (uint64_t)sent;
    }
    c->stage = STAGE_HEAD;
}

static void start_request(struct run *r, struct conn *c, uint64_t started)
{
    c->request = &r->requests[r->turn];
    r->turn = r->turn + 1 < r->request_count ? r->turn + 1 : 0;
    c->started = started;
    c->sent = 0;
    c->stage = STAGE_SENDING;
    r->in_flight++;
    send_request(r, c);
}

static bool is_expected(const struct run *r, const char *head, const struct head *parsed)
{
    return parsed->length > 12 && memcmp(head, "HTTP/1.1 200", 12) == 0 &&
           parsed->body == r->options.length;
}

/* Takes bytes of an answer's head and what follows it. Returns false if the answer is wrong. */
static bool take_head(struct run *r, struct conn *c, const char *bytes, size_t length)
{
    struct head head;
    if (c->early_length > 0) {
        if (c->early_length + length > EARLY_MOST)
            return false;
        memcpy(c->early + c->early_length, bytes, length);
        bytes = c->early;
        length += c->early_length;
    }
    if (!head_parse(bytes, length, &head)) {
        if (length > EARLY_MOST)
            return false;
        memmove(c->early, bytes, length);
        c->early_length = length;
        return true;
    }
    if (!is_expected(r, bytes, &head) || length - head.length > head.body)
        return false;
    c->early_length = 0;
    c->body_left = head.body - (length - head.length);
    c->stage = STAGE_BODY;
    if (c->body_left == 0)
        finish(r, c);
    return true;
}

/* Takes bytes that were read into the scratch buffer. Returns false if they are not what is owed.
 */
static bool take_answer(struct run *r, struct conn *c, size_t length)
{
    if (c->stage == STAGE_HEAD)
        return take_head(r, c, r->scratch, length);
    if (c->stage != STAGE_BODY || length > c->body_left)
        return false;
    c->body_left -= length;
    if (c->body_left == 0)
        finish(r, c);
    return true;
}

/* Reads what is there: a head into memory, the rest of a body into nothing. Returns false if the
 * connection had to be replaced. */
static bool read_answer(struct run *r, struct conn *c)
{
    for (;;) {
        bool in_body = c->stage == STAGE_BODY;
        size_t room = in_body && c->body_left > READ_SIZE ? (size_t)c->body_left : READ_SIZE;
        ssize_t got = recv(c->fd, r->scratch, room, in_body ? MSG_TRUNC : 0);
        if (got < 0 && errno == EAGAIN)
            return true;
        if (got <= 0 || !take_answer(r, c, (size_t)got)) {
            reconnect(r, c);
            return false;
        }
        if ((size_t)got < room || c->stage == STAGE_FREE)
            return true;
    }
}

static void handle_event(struct run *r, struct conn *c, uint32_t events)
{
    if (c->stage == STAGE_SENDING && (events & EPOLLOUT))
        send_request(r, c);
    bool ended = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (((events & EPOLLIN) || ended) && read_answer(r, c) && ended)
        reconnect(r, c);
}

/* Sends what the round has made ready: in the closed loop everything that was answered, in the open
 * one everything that has fallen due. */
static void send_ready(struct run *r, bool may_start)
{
    struct queue now = r->ready;
    r->ready = (struct queue){NULL, NULL};
    while (may_start && now.first != NULL) {
        struct conn *c = queue_take(&now);
        start_request(r, c, now_ns());
    }
    while (may_start && r->options.rate > 0 && r->free.first != NULL && r->next_due <= now_ns()) {
        start_request(r, queue_take(&r->free), r->next_due);
        r->next_due += (uint64_t)(1e9 / r->options.rate);
    }
}

/* Waits for events, at most until something falls due or the phase ends. */
static void wait_round(struct run *r, uint64_t until)
{
    struct epoll_event events[EVENTS];
    uint64_t now = now_ns();
    if (r->options.rate > 0 && r->free.first != NULL && r->next_due < until)
        until = r->next_due > now + tick_ns ? r->next_due : now + tick_ns;
    uint64_t wait = until > now ? until - now : 0;
    struct timespec timeout = {(time_t)(wait / SECOND_NS), (long)(wait % SECOND_NS)};
    int count = epoll_pwait2(r->epoll, events, EVENTS, &timeout, NULL);
    for (int i = 0; i < count; i++)
        handle_event(r, events[i].data.ptr, events[i].events);
}

static void run_until(struct run *r, uint64_t until)
{
    while (now_ns() < until) {
        send_ready(r, true);
        wait_round(r, until);
    }
}

/* Lets what was asked be answered, for at most two seconds, so that slow answers are counted too.
 */
static void drain(struct run *r)
{
    uint64_t until = now_ns() + 2 * SECOND_NS;
    if (r->options.rate > 0)
        r->late = r->next_due < r->end
                      ? (uint64_t)((double)(r->end - r->next_due) / 1e9 * r->options.rate)
                      : 0;
    while (r->in_flight > 0 && now_ns() < until) {
        wait_round(r, until);
        send_ready(r, false);
    }
}

static void open_all(struct run *r)
{
    r->conns = calloc(r->options.connections, sizeof *r->conns);
    if (r->conns == NULL)
        die("calloc");
    for (size_t i = 0; i < r->options.connections; i++) {
        open_conn(r, &r->conns[i]);
        set_free(r, &r->conns[i]);
    }
}

static void print_result(const struct run *r, uint64_t measured, uint64_t errors, double seconds)
{
    const struct histogram *h = &r->latency;
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    double own_us = 1e6 * (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) +
                    (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec);
    printf("{\"requests\": %llu, \"errors\": %llu, \"reconnects\": %llu, \"late\": %llu, "
           "\"seconds\": %.6f, \"cpu_ns\": %llu, \"load_cpu_us_per_request\": %.3f, "
           "\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, "
           "\"max_us\": %.1f}\n",
        (unsigned long long)measured, (unsigned long long)errors, (unsigned long long)r->reconnects,
        (unsigned long long)r->late, seconds, (unsigned long long)r->cpu_used,
        r->completed == 0 ? 0 : own_us / (double)r->completed, histogram_at(h, 0.5) / 1e3,
        histogram_at(h, 0.9) / 1e3, histogram_at(h, 0.99) / 1e3, histogram_at(h, 0.999) / 1e3,
        (double)h->most / 1e3);
}

static void run_timed(struct run *r)
{
    r->next_due = now_ns();
    run_until(r, r->next_due + r->options.warm_up_ns);
    uint64_t completed = r->completed, errors = r->errors;
    r->cpu_begin = cputime_of(&r->options.watched);
    r->begin = now_ns();
    r->end = r->begin + r->options.measure_ns;
    r->measuring = true;
    run_until(r, r->end);
    uint64_t stopped = now_ns(), measured = r->completed - completed;
    r->cpu_used = cputime_of(&r->options.watched) - r->cpu_begin;
    drain(r);
    r->errors += r->in_flight;
    print_result(r, measured, r->errors - errors, (double)(stopped - r->begin) / 1e9);
}

/* One request on each connection, so that each has been in use; then says so and holds them all. */
static void run_idle(struct run *r)
{
    size_t window = 64;
    for (size_t i = 0; i < r->options.connections; i += window) {
        for (size_t j = i; j < i + window && j < r->options.connections; j++)
            start_request(r, &r->conns[j], now_ns());
        uint64_t until = now_ns() + 5 * SECOND_NS;
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
    printf("{\"closed_by_proxy\": %llu}\n", (unsigned long long)r->reconnects);
}

/* All that requests have in common but for the path, without the empty line. Owned by the caller.
 */
static char *make_fields(const struct options *o)
{
    char *fields = NULL;
    size_t size;
    FILE *out = open_memstream(&fields, &size);
    if (out == NULL)
        die("open_memstream");
    fputs("Host: bench.example\r\nUser-Agent: load/1\r\nAccept: */*\r\n", out);
    if (o->upload > 0)
        fprintf(out, "Content-Length: %llu\r\n", (unsigned long long)o->upload);
    for (size_t i = 0; i < o->field_count; i++)
        fprintf(out, "%s\r\n", o->fields[i]);
    if (fclose(out) != 0)
        die("open_memstream");
    return fields;
}

/* `own` is a field of this request alone, with its line's end, or empty. */
static void add_request(struct run *r, const char *fields, const char *own)
{
    const struct options *o = &r->options;
    const char *path = o->paths[r->request_count % o->path_count];
    if ((r->request_count & (r->request_count - 1)) == 0) {
        size_t room = r->request_count == 0 ? 1 : 2 * r->request_count;
        r->requests = realloc(r->requests, room * sizeof *r->requests);
        if (r->requests == NULL)
            die("realloc");
    }
    struct request *request = &r->requests[r->request_count++];
    int size = asprintf(&request->head, "%s %s HTTP/1.1\r\n%s%s\r\n",
        o->upload > 0 ? "POST" : "GET", path, fields, own);
    if (size < 0)
        die("asprintf");
    request->length = (size_t)size;
}

static void add_requests_of_file(struct run *r, const char *fields)
{
    char *line = NULL, *own = NULL;
    size_t room = 0;
    FILE *file = fopen(r->options.each_field, "r");
    if (file == NULL)
        die("%s", r->options.each_field);
    while (getline(&line, &room, file) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (asprintf(&own, "%s\r\n", line) < 0)
            die("asprintf");
        add_request(r, fields, own);
        free(own);
    }
    free(line);
    fclose(file);
}

static void make_requests(struct run *r)
{
    char *fields = make_fields(&r->options);
    if (r->options.each_field != NULL)
        add_requests_of_file(r, fields);
    else
        for (size_t i = 0; i < r->options.path_count; i++)
            add_request(r, fields, "");
    free(fields);
    if (r->request_count == 0)
        die("no requests");
}

static uint64_t seconds_ns(const char *what, const char *text)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || value < 0 || value > 86400) {
        errno = EINVAL;
        die("%s \"%s\"", what, text);
    }
    return (uint64_t)(value * 1e9);
}

static void set_option(struct options *o, int letter, const char *value)
{
    switch (letter) {
    case 'p':
        o->port = (uint16_t)parse_number("--port", value, 65535);
        break;
    case 'a':
        if (o->path_count == PATHS_MOST)
            die("too many paths");
        o->paths[o->path_count++] = value;
        break;
    case 'f':
        if (o->field_count == FIELDS_MOST)
            die("too many fields");
        o->fields[o->field_count++] = value;
        break;
    case 'e':
        o->each_field = value;
        break;
    case 'l':
        o->length = parse_number("--length", value, UINT64_MAX);
        break;
    case 'c':
        o->connections = parse_number("--connections", value, 1000000);
        break;
    case 's':
        o->measure_ns = seconds_ns("--seconds", value);
        break;
    case 'w':
        o->warm_up_ns = seconds_ns("--warm-up", value);
        break;
    case 'r':
        o->rate = (double)parse_number("--rate", value, 100000000);
        break;
    case 'u':
        o->upload = parse_number("--upload", value, UINT64_MAX);
        break;
    case 'm':
        cputime_add(&o->watched, (pid_t)parse_number("--watch", value, INT32_MAX));
        break;
    case 'i':
        o->idle = true;
        break;
    default:
        exit(2);
    }
}

static void read_options(struct options *o, int count, char **arguments)
{
    static const struct option known[] = {{"port", required_argument, NULL, 'p'},
        {"path", required_argument, NULL, 'a'}, {"field", required_argument, NULL, 'f'},
        {"each-field", required_argument, NULL, 'e'}, {"length", required_argument, NULL, 'l'},
        {"connections", required_argument, NULL, 'c'}, {"seconds", required_argument, NULL, 's'},
        {"warm-up", required_argument, NULL, 'w'}, {"rate", required_argument, NULL, 'r'},
        {"upload", required_argument, NULL, 'u'}, {"watch", required_argument, NULL, 'm'},
        {"idle", no_argument, NULL, 'i'}, {NULL, 0, NULL, 0}};
    *o = (struct options){.length = 128, .connections = 64, .measure_ns = 3 * SECOND_NS};
    for (int letter = getopt_long(count, arguments, "", known, NULL); letter != -1;
         letter = getopt_long(count, arguments, "", known, NULL))
        set_option(o, letter, optarg);
    if (o->path_count == 0)
        o->paths[o->path_count++] = "/";
    if (o->port == 0 || o->connections == 0 || optind < count) {
        fprintf(stderr, "usage: load --port P [options]\n");
        exit(2);
    }
}

int main(int count, char **arguments)
{
    struct run *r = calloc(1, sizeof *r);
    if (r == NULL || (r->scratch = calloc(1, UPLOAD_BLOCK)) == NULL)
        die("calloc");
    read_options(&r->options, count, arguments);
    raise_descriptor_limit();
    prctl(PR_SET_TIMERSLACK, 1);
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (r->epoll < 0)
        die("epoll_create1");
    make_requests(r);
    open_all(r);
    if (r->options.idle)
        run_idle(r);
    else
        run_timed(r);
    return r->completed > 0 ? 0 : 1;
}
