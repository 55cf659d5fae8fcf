#include "run/resolver.h"

#include <ares.h>
#include <stdlib.h>
#include <sys/time.h>

#include "base/must.h"
#include "run/io.h"
#include "run/loop.h"
#include "run/timer.h"

#define NAME_MAX_SIZE 255  /* of a domain name, RFC 1035 §2.3.4 */
#define TIMEOUT_MS    2000 /* of the first try; c-ares doubles it */
#define TRIES         3    /* of each server */
#define CLASS_IN      1

struct resolver {
    ares_channel channel;
    struct timer retry;  /* when c-ares wants to look at its questions again */
    struct list watches; /* of its sockets */
};

struct watch {
    struct list node;
    struct resolver *resolver;
    struct io io;
};

/* A question lives until c-ares has answered it, even when whoever asked has gone. */
struct question {
    struct fiber *asker; /* NULL: gone */
    bool is_answered;
    int outcome;
    struct ares_addrinfo *answer; /* owned; of addresses */
    unsigned char *message;       /* owned; of anything else */
    size_t size;
};

static void set_retry(struct resolver *resolver)
{
    struct timeval room;
    const struct timeval *left = ares_timeout(resolver->channel, NULL, &room);
    instant when = NEVER;
    if (left)
        when = loop_now() + left->tv_sec * SECOND + left->tv_usec * MICROSECOND;
    timer_set(&resolver->retry, when);
}

static void retry(struct timer *timer)
{
    struct resolver *resolver = list_entry(timer, struct resolver, retry);
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_retry(resolver);
}

/* c-ares may close the socket, and so free the watch, before it returns. */
static void socket_is_ready(void *argument, unsigned ready)
{
    struct watch *watch = argument;
    struct resolver *resolver = watch->resolver;
    int descriptor = watch->io.descriptor;
    ares_process_fd(resolver->channel, ready & IO_READ ? descriptor : ARES_SOCKET_BAD,
        ready & IO_WRITE ? descriptor : ARES_SOCKET_BAD);
    set_retry(resolver);
}

static struct watch *find_watch(struct resolver *resolver, int descriptor)
{
    list_each (node, &resolver->watches) {
        struct watch *watch = list_entry(node, struct watch, node);
        if (watch->io.descriptor == descriptor)
            return watch;
    }
    return NULL;
}

static void end_watch(struct watch *watch)
{
    io_remove(&watch->io);
    list_remove(&watch->node);
    free(watch);
}

/* Without memory for a watch the question ends by its timeout. */
static void begin_watch(struct resolver *resolver, int descriptor, unsigned interest)
{
    struct watch *watch = malloc(sizeof *watch);
    if (!watch)
        return;
    watch->resolver = resolver;
    if (io_watch(&watch->io, descriptor, interest, socket_is_ready, watch))
        free(watch);
    else
        list_push_back(&resolver->watches, &watch->node);
}

/* c-ares tells which of its sockets it wants to hear of, and before it closes one. */
static void socket_wants(void *argument, ares_socket_t descriptor, int reads, int writes)
{
    struct resolver *resolver = argument;
    struct watch *watch = find_watch(resolver, descriptor);
    unsigned interest = (reads ? IO_READ : 0u) | (writes ? IO_WRITE : 0u);
    if (watch && interest)
        io_watch_change(&watch->io, interest);
    else if (watch)
        end_watch(watch);
    else if (interest)
        begin_watch(resolver, descriptor, interest);
}

enum status resolver_new(struct resolver **ret_resolver)
{
    struct resolver *resolver = malloc(sizeof *resolver);
    if (!resolver)
        return NO_MEMORY;
    timer_init(&resolver->retry, retry);
    list_init(&resolver->watches);
    struct ares_options options = {.timeout = TIMEOUT_MS,
        .tries = TRIES,
        .sock_state_cb = socket_wants,
        .sock_state_cb_data = resolver};
    int error = ares_init_options(
        &resolver->channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (error != ARES_SUCCESS) {
        free(resolver);
        return error == ARES_ENOMEM ? NO_MEMORY : IO_ERROR;
    }
    *ret_resolver = resolver;
    return OK;
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    ares_destroy(resolver->channel);
    timer_cancel(&resolver->retry);
    list_each (node, &resolver->watches)
        end_watch(list_entry(node, struct watch, node));
    free(resolver);
}

enum status resolver_use_servers(struct resolver *resolver, struct slice servers)
{
    char *text = strndup(servers.data, servers.size);
    if (!text)
        return NO_MEMORY;
    int error = ares_set_servers_ports_csv(resolver->channel, text);
    free(text);
    if (error == ARES_ENOMEM)
        return NO_MEMORY;
    return error == ARES_SUCCESS ? OK : INVALID;
}

static void free_question(struct question *question)
{
    if (question->answer)
        ares_freeaddrinfo(question->answer);
    free(question->message);
    free(question);
}

static void settle(struct question *question, int outcome)
{
    question->is_answered = true;
    question->outcome = outcome;
    if (question->asker)
        fiber_wake(question->asker);
    else
        free_question(question);
}

static void answered(void *argument, int outcome, int timeouts, struct ares_addrinfo *answer)
{
    struct question *question = argument;
    (void)timeouts;
    question->answer = answer;
    settle(question, outcome);
}

/* c-ares keeps its bytes. */
static void replied(void *argument, int outcome, int timeouts, unsigned char *bytes, int size)
{
    struct question *question = argument;
    (void)timeouts;
    if (outcome == ARES_SUCCESS) {
        question->message = malloc((size_t)size + 1);
        if (question->message)
            memcpy(question->message, bytes, (size_t)size);
        else
            outcome = ARES_ENOMEM;
        question->size = (size_t)size;
    }
    settle(question, outcome);
}

static enum status status_of(int outcome)
{
    switch (outcome) {
    case ARES_SUCCESS:
        return OK;
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
    case ARES_ENONAME:
    case ARES_EBADNAME:
        return NOT_FOUND;
    case ARES_ETIMEOUT:
        return TIMEOUT;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION:
        return CANCELLED;
    case ARES_ENOMEM:
        return NO_MEMORY;
    default:
        return IO_ERROR;
    }
}

static bool is_ip(const struct ares_addrinfo_node *node)
{
    return node->ai_family == AF_INET || node->ai_family == AF_INET6;
}

static int64_t least_ttl(const struct ares_addrinfo *answer)
{
    int ttl = INT32_MAX;
    for (const struct ares_addrinfo_node *n = answer->nodes; n; n = n->ai_next)
        ttl = n->ai_ttl < ttl ? n->ai_ttl : ttl;
    for (const struct ares_addrinfo_cname *c = answer->cnames; c; c = c->next)
        ttl = c->ttl < ttl ? c->ttl : ttl;
    return ttl * SECOND > RESOLVED_TTL_LEAST ? ttl * SECOND : RESOLVED_TTL_LEAST;
}

static enum status take_answer(const struct ares_addrinfo *answer, uint16_t port,
    struct arena *arena, struct resolved *ret_resolved)
{
    size_t count = 0;
    for (const struct ares_addrinfo_node *n = answer->nodes; n; n = n->ai_next)
        count += is_ip(n);
    if (count == 0)
        return NOT_FOUND;
    struct address *address = arena_array(arena, count, sizeof *address);
    if (!address)
        return NO_MEMORY;
    *ret_resolved =
        (struct resolved){.addresses = address, .count = count, .ttl = least_ttl(answer)};
    for (const struct ares_addrinfo_node *n = answer->nodes; n; n = n->ai_next) {
        if (!is_ip(n))
            continue;
        address->size = n->ai_addrlen;
        memcpy(&address->any, n->ai_addr, n->ai_addrlen);
        address_set_port(address++, port);
    }
    return OK;
}

/* A name as c-ares wants it. */
static bool copy_name(struct slice name, char text[NAME_MAX_SIZE + 1])
{
    if (name.size == 0 || name.size > NAME_MAX_SIZE || memchr(name.data, 0, name.size))
        return false;
    memcpy(text, name.data, name.size);
    text[name.size] = 0;
    return true;
}

static struct question *new_question(void)
{
    struct question *question = calloc(1, sizeof *question);
    if (question) {
        question->asker = fiber_current();
        must(question->asker);
    }
    return question;
}

/* On failure the question is not the caller's any more. */
static enum status wait_for_answer(
    struct resolver *resolver, struct question *question, instant deadline)
{
    enum status e = OK;
    set_retry(resolver);
    while (e == OK && !question->is_answered)
        e = fiber_wait(deadline);
    if (!question->is_answered) {
        question->asker = NULL;
        return e;
    }
    e = status_of(question->outcome);
    if (e)
        free_question(question);
    return e;
}

enum status resolver_resolve(struct resolver *resolver, struct slice name, uint16_t port,
    struct arena *arena, instant deadline, struct resolved *ret_resolved)
{
    char text[NAME_MAX_SIZE + 1];
    if (!copy_name(name, text))
        return NOT_FOUND;
    struct question *question = new_question();
    if (!question)
        return NO_MEMORY;
    struct ares_addrinfo_hints hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NOSORT};
    ares_getaddrinfo(resolver->channel, text, NULL, &hints, answered, question);
    enum status e = wait_for_answer(resolver, question, deadline);
    if (e)
        return e;
    e = take_answer(question->answer, port, arena, ret_resolved);
    free_question(question);
    return e;
}

enum status resolver_query(struct resolver *resolver, struct slice name, int type,
    struct arena *arena, instant deadline, struct slice *ret_message)
{
    char text[NAME_MAX_SIZE + 1];
    if (!copy_name(name, text))
        return NOT_FOUND;
    struct question *question = new_question();
    if (!question)
        return NO_MEMORY;
    ares_search(resolver->channel, text, CLASS_IN, type, replied, question);
    enum status e = wait_for_answer(resolver, question, deadline);
    if (e)
        return e;
    struct slice message =
        arena_copy(arena, slice_of((const char *)question->message, question->size));
    free_question(question);
    if (!message.data)
        return NO_MEMORY;
    *ret_message = message;
    return OK;
}
