/*
 * The service behind the proxies: HTTP/1.1 over keep-alive on one thread, with as little work a
 * request as it can do, so that what is measured is the proxy.
 *
 *     backend PORT [--everywhere]
 *
 * It listens on 127.0.0.1, or at every address of the loopback device. The end of the path says
 * what is wanted; what stands before it is free, so that every route of a proxy may lead here:
 *
 *     …/size/N      N bytes
 *     …/delay/MS    128 bytes, MS milliseconds later
 *     …/count       the number of requests so far (without this one), in decimal
 *     anything      128 bytes
 *
 * Request bodies with a Content-Length are read and dropped before the answer goes; pipelined
 * requests are answered in order. After SIGUSR1 it is ill: every answer takes 200 ms.
 */
#include "net.h"

#include <signal.h>
#include <sys/uio.h>

enum {
    BODY_BLOCK = 1 << 20,
    READ_SIZE = 64 << 10,
    EARLY_MOST = 64 << 10,
    HEAD_ROOM = 128,
    EVENTS = 512,
    ILL_MS = 200
};

static const size_t small_body = 128;
static volatile sig_atomic_t is_ill;

static void become_ill(int signal)
{
    (void)signal;
    is_ill = 1;
}

struct client {
    int fd;
    bool readable;       /* an edge came that was not read to its end */
    bool owed;           /* the answer is ready, but its request's body is still arriving */
    bool waiting;        /* for its delay to pass */
    char *early;         /* owned: bytes of later requests, or of a head that is not complete */
    size_t early_length; /* its length */
    uint64_t skip;       /* bytes of a request body still to drop */
    const char *head;   /* the unsent rest of the head, in `own` or in the backend's ready answer */
    size_t head_left;   /* its length */
    uint64_t body_left; /* unsent bytes of the body */
    uint64_t due;       /* when a delayed answer is to go */
    struct client *next; /* in the list of delayed ones, by due time, or of the dead */
    char own[HEAD_ROOM]; /* a head made for this answer */
};

struct backend {
    int epoll;
    uint64_t requests;
    struct client *delayed; /* owned, sorted by due time */
    struct client *dead;    /* owned, freed once no event can name them */
    size_t ready_length;
    char ready[HEAD_ROOM + 128]; /* the usual answer, head and body */
    char *body;                  /* owned: BODY_BLOCK bytes, shared by all answers */
    char *scratch;               /* owned: READ_SIZE bytes */
};

static int print_head(char *out, uint64_t body)
{
    return snprintf(out, HEAD_ROOM,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %llu\r\n\r\n",
        (unsigned long long)body);
}

static void close_client(struct backend *b, struct client *c)
{
    if (c->fd < 0)
        return;
    close(c->fd);
    c->fd = -1;
    if (!c->waiting) {
        c->next = b->dead;
        b->dead = c;
    }
}

static void bury_dead(struct backend *b)
{
    while (b->dead != NULL) {
        struct client *c = b->dead;
        b->dead = c->next;
        free(c->early);
        free(c);
    }
}

/* Sends what is due. Returns true when all of it is gone; false if it waits for room or is closed.
 */
static bool send_answer(struct backend *b, struct client *c)
{
    while (c->head_left + c->body_left > 0) {
        size_t block = c->body_left < BODY_BLOCK ? (size_t)c->body_left : BODY_BLOCK;
        struct iovec parts[2] = {{(void *)(uintptr_t)c->head, c->head_left}, {b->body, block}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t sent = block == 0 ? send(c->fd, c->head, c->head_left, MSG_NOSIGNAL)
                                  : sendmsg(c->fd, &message, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN)
                close_client(b, c);
            return false;
        }
        size_t of_head = (size_t)sent < c->head_left ? (size_t)sent : c->head_left;
        c->head += of_head;
        c->head_left -= of_head;
        c->body_left -= (uint64_t)sent - of_head;
    }
    return true;
}

static void answer_bytes(struct client *c, uint64_t body)
{
    c->head = c->own;
    c->head_left = (size_t)print_head(c->own, body);
    c->body_left = body;
}

static void answer_count(struct backend *b, struct client *c)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)b->requests - 1);
    answer_bytes(c, (uint64_t)length);
    memcpy(c->own + c->head_left, digits, (size_t)length);
    c->head_left += (size_t)length;
    c->body_left = 0;
}

static void answer_usual(struct backend *b, struct client *c)
{
    c->head = b->ready;
    c->head_left = b->ready_length;
    c->body_left = 0;
}

static void delay_answer(struct backend *b, struct client *c, uint64_t milliseconds)
{
    struct client **place = &b->delayed;
    answer_usual(b, c);
    c->waiting = true;
    c->due = now_ns() + milliseconds * 1000000;
    while (*place != NULL && (*place)->due <= c->due)
        place = &(*place)->next;
    c->next = *place;
    *place = c;
}

/* True if the path ends in /word/DIGITS; then the number is in ret_value. */
static bool path_asks(const char *path, size_t length, const char *word, uint64_t *ret_value)
{
    size_t digits = 0, word_length = strlen(word);
    while (digits < length && path[length - 1 - digits] >= '0' && path[length - 1 - digits] <= '9')
        digits++;
    if (digits == 0 || length < digits + word_length ||
        memcmp(path + length - digits - word_length, word, word_length) != 0)
        return false;
    *ret_value = head_digits(path + length - digits, path + length);
    return true;
}

static void start_answer(struct backend *b, struct client *c, const char *head, size_t length)
{
    const char *path = memchr(head, ' ', length);
    const char *stop =
        path == NULL ? NULL : memchr(path + 1, ' ', length - (size_t)(path + 1 - head));
    uint64_t value = 0;
    b->requests++;
    if (stop == NULL) {
        close_client(b, c);
        return;
    }
    path++;
    size_t path_length = (size_t)(stop - path);
    if (is_ill)
        delay_answer(b, c, ILL_MS);
    else if (path_asks(path, path_length, "/size/", &value))
        answer_bytes(c, value);
    else if (path_asks(path, path_length, "/delay/", &value))
        delay_answer(b, c, value);
    else if (path_length >= 6 && memcmp(stop - 6, "/count", 6) == 0)
        answer_count(b, c);
    else
        answer_usual(b, c);
}

static void keep_early(struct backend *b, struct client *c, const char *bytes, size_t length)
{
    char *kept = length > 0 && length <= EARLY_MOST ? malloc(length) : NULL;
    if (length > 0 && kept == NULL) {
        close_client(b, c);
        return;
    }
    if (length > 0)
        memcpy(kept, bytes, length);
    free(c->early);
    c->early = kept;
    c->early_length = length;
}

/* True while an answer stands between the client and its next request. */
static bool is_answering(const struct client *c)
{
    return c->waiting || (!c->owed && c->head_left + c->body_left > 0);
}

/* The request is here to its last byte: its answer may go, unless it is to be late. */
static void request_is_whole(struct backend *b, struct client *c)
{
    c->owed = false;
    if (!c->waiting)
        send_answer(b, c);
}

/* Answers the requests in these bytes until they are used up or an answer must wait. */
static void take(struct backend *b, struct client *c, const char *bytes, size_t length)
{
    struct head head;
    while (c->fd >= 0) {
        size_t skipped = c->skip < length ? (size_t)c->skip : length;
        c->skip -= skipped;
        bytes += skipped;
        length -= skipped;
        if (c->owed && c->skip == 0)
            request_is_whole(b, c);
        if (c->fd < 0 || c->skip > 0 || is_answering(c) || !head_parse(bytes, length, &head))
            break;
        c->skip = head.body;
        c->owed = true;
        start_answer(b, c, bytes, head.length);
        bytes += head.length;
        length -= head.length;
    }
    if (c->fd >= 0 && (length > 0 || c->early != NULL))
        keep_early(b, c, bytes, length);
}

static void take_joined(struct backend *b, struct client *c, const char *bytes, size_t length)
{
    size_t total = c->early_length + length;
    char *joined = malloc(total);
    if (joined == NULL)
        die("malloc");
    memcpy(joined, c->early, c->early_length);
    memcpy(joined + c->early_length, bytes, length);
    take(b, c, joined, total);
    free(joined);
}

/* Reads once unless the buffer was filled: a short read from a stream has emptied it. */
static void read_client(struct backend *b, struct client *c)
{
    while (c->fd >= 0 && c->readable && !is_answering(c)) {
        ssize_t got = recv(c->fd, b->scratch, READ_SIZE, 0);
        if (got <= 0) {
            c->readable = false;
            if (got == 0 || errno != EAGAIN)
                close_client(b, c);
            return;
        }
        c->readable = got == READ_SIZE;
        if (c->early == NULL)
            take(b, c, b->scratch, (size_t)got);
        else
            take_joined(b, c, b->scratch, (size_t)got);
    }
}

/* Goes on after an answer is out: first with requests that were read early, then from the socket.
 */
static void resume(struct backend *b, struct client *c)
{
    if (c->early != NULL)
        take_joined(b, c, "", 0);
    read_client(b, c);
}

static void handle_event(struct backend *b, struct client *c, uint32_t events)
{
    if (c->fd < 0)
        return;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->readable = true;
    if (c->waiting)
        return;
    if (!is_answering(c))
        read_client(b, c);
    else if (send_answer(b, c))
        resume(b, c);
}

static void accept_clients(struct backend *b, int listener)
{
    for (int fd = accept_one(listener); fd >= 0; fd = accept_one(listener)) {
        struct client *c = calloc(1, sizeof *c);
        if (c == NULL)
            die("calloc");
        c->fd = fd;
        watch(b->epoll, fd, c);
    }
}

static void send_delayed(struct backend *b)
{
    while (b->delayed != NULL && b->delayed->due <= now_ns()) {
        struct client *c = b->delayed;
        b->delayed = c->next;
        c->waiting = false;
        if (c->fd < 0) {
            c->next = b->dead;
            b->dead = c;
        } else if (c->owed || send_answer(b, c)) {
            resume(b, c);
        }
    }
}

static int wait_milliseconds(const struct backend *b)
{
    if (b->delayed == NULL)
        return -1;
    uint64_t now = now_ns();
    return b->delayed->due <= now ? 0 : (int)((b->delayed->due - now + 999999) / 1000000);
}

static void prepare(struct backend *b)
{
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    b->body = malloc(BODY_BLOCK);
    b->scratch = malloc(READ_SIZE);
    if (b->epoll < 0 || b->body == NULL || b->scratch == NULL)
        die("start");
    for (size_t i = 0; i < BODY_BLOCK; i++)
        b->body[i] = i % 64 == 63 ? '\n' : (char)('a' + i % 26);
    b->ready_length = (size_t)print_head(b->ready, small_body);
    memcpy(b->ready + b->ready_length, b->body, small_body);
    b->ready_length += small_body;
}

int main(int count, char **arguments)
{
    struct backend b = {0};
    struct epoll_event events[EVENTS];
    bool everywhere = count == 3 && strcmp(arguments[2], "--everywhere") == 0;
    if (count != 2 && !everywhere) {
        fprintf(stderr, "usage: backend PORT [--everywhere]\n");
        return 2;
    }
    raise_descriptor_limit();
    signal(SIGUSR1, become_ill);
    prepare(&b);
    int listener = listen_at((uint16_t)parse_number("port", arguments[1], 65535), everywhere);
    watch_listener(b.epoll, listener, NULL);
    for (;;) {
        int ready = epoll_wait(b.epoll, events, EVENTS, wait_milliseconds(&b));
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr == NULL)
                accept_clients(&b, listener);
            else
                handle_event(&b, events[i].data.ptr, events[i].events);
        }
        send_delayed(&b);
        bury_dead(&b);
    }
}
