/*
 * The bare forwarder: the practical floor that every proxy is measured against. Its program is
 * forwarder.c; forwarder_verify.c is the same with work to do for each request.
 *
 * It moves messages between clients and a pool of kept upstream connections and knows of HTTP only
 * where a message ends. What makes it fast is what it leaves out: one recv and one send a message,
 * no read that finds nothing, one edge-triggered registration a socket, no copy but into and out of
 * the kernel. Its loop has two phases: first everything that is ready is read into one scratch
 * buffer, then everything that is due is sent, so that the receivers wake once a round.
 *
 * An `end` is one socket. While an exchange is under way, the client's end and the upstream's are
 * each other's peer. Bytes read from an end go straight to its peer; what does not fit into the
 * peer's socket waits in the peer's `rest`, and meanwhile nothing is read for it: that is the
 * back-pressure. A long body does not come into this process at all after its first part: a pipe
 * takes it from one socket to the other (splice).
 *
 * Messages without Content-Length have no body here; chunked ones are beyond this program.
 */
#pragma once

#include "net.h"

#include <sys/prctl.h>

#include <signal.h>

enum {
    SCRATCH_SIZE = 256 << 10,
    SMALL = 16 << 10,        /* messages up to this wait for phase two */
    FIRST_MOST = 8 << 10,    /* read with a head, so that most of a long body can be spliced */
    SPLICE_LEAST = 16 << 10, /* below this copying costs less than two more system calls */
    PIPE_SIZE = 1 << 20,
    EVENTS = 512
};

/* A pipe that is empty while it is nobody's. */
struct pipe {
    int from, to;
    struct pipe *next;
};

struct end {
    int fd;
    bool is_client;
    bool readable;      /* an edge came that was not read to its end */
    bool ended;         /* the other side sends no more: read on until recv says so */
    bool in_message;    /* its head was passed on, its last byte not yet */
    uint64_t body_left; /* of that message, still to read */
    struct end *peer;   /* the other end of the exchange under way, or NULL */
    struct end *next;   /* in the pool, or among the dead */
    const char *due;    /* to send in phase two: borrowed from the scratch buffer, or NULL */
    size_t due_length;  /* its length */
    char *rest;         /* owned: what the socket did not take, or NULL */
    size_t rest_at;     /* the first byte of it that is still unsent */
    size_t rest_length; /* its length */
    char *early; /* owned: read, but part of a head that is not complete, or of a later request */
    size_t early_length; /* its length */
    struct pipe *pipe;   /* owned: what this end's long body goes through, or NULL */
    size_t in_pipe;      /* bytes that the peer's socket did not take yet */
};

struct worker {
    int epoll;
    uint16_t upstream_port;
    void (*at_request)(void);        /* NULL: nothing is done; else nothing waits for phase two */
    struct end *pool;                /* owned: idle upstream connections, the warmest first */
    struct end *dead;                /* owned, freed once no event can name them */
    struct pipe *pipes;              /* owned: the idle ones */
    char *scratch;                   /* owned: SCRATCH_SIZE bytes */
    size_t used;                     /* how much of it is promised to phase two */
    size_t sends;                    /* entries in `send_to` */
    struct end *send_to[2 * EVENTS]; /* ends with something due */
};

static void read_from(struct worker *w, struct end *from);

static void close_end(struct worker *w, struct end *e)
{
    if (e == NULL || e->fd < 0)
        return;
    close(e->fd);
    e->fd = -1;
    for (struct end **at = &w->pool; !e->is_client && *at != NULL; at = &(*at)->next) {
        if (*at == e) {
            *at = e->next;
            break;
        }
    }
    e->next = w->dead;
    w->dead = e;
    if (e->peer != NULL)
        close_end(w, e->peer);
}

static void free_pipe(struct pipe *p)
{
    if (p == NULL)
        return;
    close(p->from);
    close(p->to);
    free(p);
}

static void bury_dead(struct worker *w)
{
    while (w->dead != NULL) {
        struct end *e = w->dead;
        w->dead = e->next;
        free(e->rest);
        free(e->early);
        free_pipe(e->pipe);
        free(e);
    }
}

static struct end *new_end(struct worker *w, int fd, bool is_client)
{
    struct end *e = calloc(1, sizeof *e);
    if (e == NULL)
        die("calloc");
    e->fd = fd;
    e->is_client = is_client;
    watch(w->epoll, fd, e);
    return e;
}

static struct end *take_upstream(struct worker *w)
{
    struct end *e = w->pool;
    if (e != NULL) {
        w->pool = e->next;
        return e;
    }
    int fd = connect_to(w->upstream_port);
    return fd < 0 ? NULL : new_end(w, fd, false);
}

static char *copy_of(const char *bytes, size_t length)
{
    char *copy = malloc(length);
    if (copy == NULL)
        die("malloc");
    memcpy(copy, bytes, length);
    return copy;
}

/* Sends now; what the socket does not take waits in the end's rest. */
static void send_now(struct worker *w, struct end *to, const char *bytes, size_t length)
{
    ssize_t sent = send(to->fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        close_end(w, to);
        return;
    }
    size_t taken = sent < 0 ? 0 : (size_t)sent;
    if (taken < length) {
        to->rest = copy_of(bytes + taken, length - taken);
        to->rest_length = length - taken;
        to->rest_at = 0;
    }
}

/* Phase two. */
static void send_all_due(struct worker *w)
{
    for (size_t i = 0; i < w->sends; i++) {
        struct end *to = w->send_to[i];
        if (to->fd >= 0)
            send_now(w, to, to->due, to->due_length);
        to->due = NULL;
    }
    w->sends = 0;
    w->used = 0;
}

/* Takes bytes of the scratch buffer for an end: small ones wait for phase two, large ones go at
 * once, so that the receiver begins while the next piece is read. */
static void pass_on(struct worker *w, struct end *to, const char *bytes, size_t length)
{
    bool may_wait = w->at_request == NULL;
    bool in_scratch = bytes >= w->scratch && bytes < w->scratch + SCRATCH_SIZE;
    if (may_wait && in_scratch && length <= SMALL && to->due == NULL && w->sends < 2 * EVENTS) {
        to->due = bytes;
        to->due_length = length;
        w->send_to[w->sends++] = to;
        w->used = (size_t)(bytes + length - w->scratch);
        return;
    }
    if (to->due != NULL)
        send_all_due(w);
    if (to->fd >= 0 && to->rest == NULL)
        send_now(w, to, bytes, length);
    else
        close_end(w, to);
}

static bool is_blocked(const struct end *e)
{
    return e->rest != NULL;
}

/* Ends the exchange when the answer's last byte is on its way. An upstream that has closed, said
 * too much, or answered before it had heard all is not used again. */
static void finish_exchange(struct worker *w, struct end *upstream)
{
    struct end *client = upstream->peer;
    if (client->in_message) {
        close_end(w, client);
        return;
    }
    upstream->peer = NULL;
    client->peer = NULL;
    if (upstream->readable || upstream->early != NULL) {
        close_end(w, upstream);
    } else {
        upstream->next = w->pool;
        w->pool = upstream;
    }
}

/* Begins a message at its head. Returns false if the head is not complete or there is no way on. */
static bool begin_message(
    struct worker *w, struct end *from, const char *bytes, size_t length, uint64_t *ret_size)
{
    struct head head;
    if (!head_parse(bytes, length, &head)) {
        if (length > SMALL)
            close_end(w, from);
        return false;
    }
    if (from->is_client) {
        from->peer = take_upstream(w);
        if (from->peer == NULL) {
            close_end(w, from);
            return false;
        }
        from->peer->peer = from;
        if (w->at_request != NULL)
            w->at_request();
    }
    from->in_message = true;
    *ret_size = head.length + head.body;
    return true;
}

/* Passes one message, or the part of it that is here, to the peer. Returns how many bytes that
 * took. */
static size_t move_message(struct worker *w, struct end *from, const char *bytes, size_t length)
{
    uint64_t size = from->body_left;
    if (!from->in_message && !begin_message(w, from, bytes, length, &size))
        return 0;
    size_t taken = size < length ? (size_t)size : length;
    struct end *to = from->peer;
    from->body_left = size - taken;
    from->in_message = from->body_left > 0;
    pass_on(w, to, bytes, taken);
    if (!from->in_message && !from->is_client && from->fd >= 0)
        finish_exchange(w, from);
    return taken;
}

static void keep_early(struct end *e, const char *bytes, size_t length)
{
    char *kept = length == 0 ? NULL : copy_of(bytes, length);
    free(e->early);
    e->early = kept;
    e->early_length = length;
}

static struct pipe *take_pipe(struct worker *w)
{
    struct pipe *p = w->pipes;
    int ends[2];
    if (p != NULL) {
        w->pipes = p->next;
        return p;
    }
    if ((p = malloc(sizeof *p)) == NULL || pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0)
        die("pipe");
    fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE);
    *p = (struct pipe){.from = ends[0], .to = ends[1]};
    return p;
}

/* Moves what the pipe holds into the peer's socket. Returns false if some of it stays. */
static bool empty_pipe(struct worker *w, struct end *from)
{
    while (from->in_pipe > 0) {
        ssize_t moved = splice(from->pipe->from, NULL, from->peer->fd, NULL, from->in_pipe,
            SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (moved < 0) {
            if (errno != EAGAIN)
                close_end(w, from);
            return false;
        }
        from->in_pipe -= (size_t)moved;
    }
    return true;
}

/* Gives the pipe back at the end of a body. */
static void end_splicing(struct worker *w, struct end *from)
{
    from->pipe->next = w->pipes;
    w->pipes = from->pipe;
    from->pipe = NULL;
    from->in_message = false;
    if (!from->is_client)
        finish_exchange(w, from);
}

/* Moves a body through the pipe for as long as both sockets go along. */
static void splice_body(struct worker *w, struct end *from)
{
    if (from->peer->due != NULL)
        send_all_due(w);
    if (from->fd < 0 || is_blocked(from->peer))
        return;
    if (from->pipe == NULL)
        from->pipe = take_pipe(w);
    while (empty_pipe(w, from) && from->body_left > 0) {
        size_t most = from->body_left < PIPE_SIZE ? (size_t)from->body_left : PIPE_SIZE;
        ssize_t moved =
            splice(from->fd, NULL, from->pipe->to, NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (moved <= 0) {
            from->readable = false;
            if (moved == 0 || errno != EAGAIN)
                close_end(w, from);
            return;
        }
        from->in_pipe = (size_t)moved;
        from->body_left -= (uint64_t)moved;
    }
    if (from->fd >= 0 && from->in_pipe == 0) {
        from->readable = from->ended;
        end_splicing(w, from);
    }
}

/* True if the next bytes of this end have somewhere to go. */
static bool may_read(const struct end *e)
{
    if (e->fd < 0)
        return false;
    if (e->is_client && e->peer == NULL)
        return !is_blocked(e);
    return e->peer != NULL && !is_blocked(e->peer) && e->in_pipe == 0 &&
           (!e->is_client || e->in_message);
}

static void take_bytes(struct worker *w, struct end *from, const char *bytes, size_t length)
{
    char *joined = NULL;
    if (from->early != NULL) {
        joined = malloc(from->early_length + length);
        if (joined == NULL)
            die("malloc");
        memcpy(joined, from->early, from->early_length);
        memcpy(joined + from->early_length, bytes, length);
        bytes = joined;
        length += from->early_length;
    }
    size_t taken = move_message(w, from, bytes, length);
    if (from->fd >= 0 && (taken < length || joined != NULL))
        keep_early(from, bytes + taken, length - taken);
    free(joined);
}

/* Phase one. A short read from a stream has emptied it, so there is no second one. */
static void read_from(struct worker *w, struct end *from)
{
    while (from->readable && may_read(from)) {
        if (w->used > SCRATCH_SIZE - SMALL)
            send_all_due(w);
        if (from->body_left >= SPLICE_LEAST || from->pipe != NULL) {
            splice_body(w, from);
            continue;
        }
        size_t room = from->in_message ? SCRATCH_SIZE - w->used : FIRST_MOST;
        ssize_t got = recv(from->fd, w->scratch + w->used, room, 0);
        if (got <= 0) {
            from->readable = false;
            if (got == 0 || errno != EAGAIN)
                close_end(w, from);
            return;
        }
        from->readable = (size_t)got == room || from->ended;
        take_bytes(w, from, w->scratch + w->used, (size_t)got);
    }
}

/* The client's next request may have been read with the one before, or wait in the socket. */
static void resume_client(struct worker *w, struct end *client)
{
    if (client->early != NULL && may_read(client))
        take_bytes(w, client, w->scratch + w->used, 0);
    read_from(w, client);
}

/* There is room in this end's socket again, or its exchange is over. */
static void resume_both(struct worker *w, struct end *to)
{
    if (to->peer != NULL)
        read_from(w, to->peer);
    if (to->is_client)
        resume_client(w, to);
}

/* Sends what the socket did not take before. */
static void send_rest(struct worker *w, struct end *to)
{
    ssize_t sent =
        send(to->fd, to->rest + to->rest_at, to->rest_length - to->rest_at, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN)
            close_end(w, to);
        return;
    }
    to->rest_at += (size_t)sent;
    if (to->rest_at < to->rest_length)
        return;
    free(to->rest);
    to->rest = NULL;
    resume_both(w, to);
}

/* A socket can be written to again. */
static void go_on_sending(struct worker *w, struct end *to)
{
    struct end *from = to->peer;
    if (is_blocked(to)) {
        send_rest(w, to);
    } else if (from != NULL && from->in_pipe > 0) {
        splice_body(w, from);
        if (to->fd >= 0)
            resume_both(w, to);
    }
}

static void handle_event(struct worker *w, struct end *e, uint32_t events)
{
    if (e->fd >= 0 && (events & EPOLLOUT))
        go_on_sending(w, e);
    if (e->fd < 0 || !(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        return;
    e->readable = true;
    e->ended = e->ended || (events & EPOLLRDHUP) != 0;
    if (!e->is_client && e->peer == NULL) {
        close_end(w, e);
        return;
    }
    struct end *client = e->is_client ? NULL : e->peer;
    read_from(w, e);
    if (client != NULL && client->fd >= 0 && client->peer == NULL)
        resume_client(w, client);
    if (events & (EPOLLHUP | EPOLLERR))
        close_end(w, e);
}

static void accept_clients(struct worker *w, int listener)
{
    for (int fd = accept_one(listener); fd >= 0; fd = accept_one(listener))
        new_end(w, fd, true);
}

static _Noreturn void run_worker(uint16_t port, uint16_t upstream_port, void (*at_request)(void))
{
    struct worker *w = calloc(1, sizeof *w);
    struct epoll_event events[EVENTS];
    if (w == NULL || (w->scratch = malloc(SCRATCH_SIZE)) == NULL)
        die("malloc");
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->upstream_port = upstream_port;
    w->at_request = at_request;
    int listener = listen_on(port);
    watch_listener(w->epoll, listener, NULL);
    for (;;) {
        int ready = epoll_wait(w->epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr == NULL)
                accept_clients(w, listener);
            else
                handle_event(w, events[i].data.ptr, events[i].events);
        }
        send_all_due(w);
        bury_dead(w);
    }
}

/* A program's arguments, and what it does for each request before it goes on, or NULL. */
static inline int run_forwarder(int count, char **arguments, void (*at_request)(void))
{
    if (count < 3 || count > 4) {
        fprintf(stderr, "usage: %s PORT BACKEND-PORT [WORKERS]\n", arguments[0]);
        return 2;
    }
    uint16_t port = (uint16_t)parse_number("port", arguments[1], 65535);
    uint16_t upstream = (uint16_t)parse_number("backend port", arguments[2], 65535);
    uint64_t workers = count == 4 ? parse_number("workers", arguments[3], 64) : 1;
    raise_descriptor_limit();
    for (uint64_t i = 1; i < workers; i++) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            break;
        }
    }
    run_worker(port, upstream, at_request);
}
