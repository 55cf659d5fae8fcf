#include "run/loop.h"
#include "run/resolver.h"
#include "service/connect.h"
#include "store/redis_state.h"

#define GREETING_MAX ((size_t)16 << 10) /* bytes of an answer to it */
#define WORDS_MAX    8

/* The first words on a connection, each answered before the next. */
struct greeting {
    struct redis_link *link;
    struct stream *stream;
    instant deadline;
    char answer[GREETING_MAX];
    struct resp_token token; /* of the newest answer, in `answer`, and what comes behind it */
    struct slice rest;
};

/* What the server says against it, but for what we have said ourselves, which may be secret. */
static void complain_of_answer(const struct greeting *greeting)
{
    struct slice error = greeting->token.text;
    redis_complain(greeting->link->redis, slice_head(error, slice_find(error, ',')));
}

static enum status read_answer(struct greeting *greeting)
{
    size_t have = 0, size;
    for (;;) {
        struct slice bytes = slice_of(greeting->answer, have);
        enum status e = resp_size(bytes, &size);
        if (!e) {
            greeting->rest = bytes;
            return resp_read(&greeting->rest, &greeting->token);
        }
        if (e == INCOMPLETE && have == GREETING_MAX)
            e = TOO_LARGE;
        if (e == INCOMPLETE)
            e = stream_read(greeting->stream, greeting->answer + have, GREETING_MAX - have,
                greeting->deadline, &size);
        if (e)
            return e;
        have += size;
    }
}

/* Says it and reads the answer. */
static enum status say(struct greeting *greeting, const struct slice *words, size_t count)
{
    struct text text = text_growing(0);
    resp_write(&text, words, count);
    enum status e = text.failed ? NO_MEMORY
                                : stream_write(greeting->stream, text.data, text.size,
                                      greeting->deadline, NULL);
    if (text.data)
        explicit_bzero(text.data, text.size);
    text_release(&text);
    if (!e)
        e = read_answer(greeting);
    if (e == TIMEOUT)
        redis_complain(greeting->link->redis, SLICE("it does not answer"));
    else if (e == INVALID || e == TOO_LARGE)
        redis_complain(greeting->link->redis, SLICE("it is no Redis"));
    else if (e)
        redis_complain(greeting->link->redis, SLICE("it closed the connection"));
    return e;
}

/* The same, and the answer has to be a good one. */
static enum status insist(struct greeting *greeting, const struct slice *words, size_t count)
{
    enum status e = say(greeting, words, count);
    if (e || greeting->token.kind != RESP_ERROR)
        return e;
    complain_of_answer(greeting);
    return REFUSED;
}

/* To servers older than version 6, or whose administrators have taken HELLO away. */
static enum status greet_by_version_2(struct greeting *greeting)
{
    const struct redis *redis = greeting->link->redis;
    const struct slice words[] = {SLICE_INIT("AUTH"), redis->user, redis->password};
    const struct slice without_user[] = {SLICE_INIT("AUTH"), redis->password};
    greeting->link->is_version_3 = false;
    if (!redis->password.size)
        return OK;
    return redis->user.size ? insist(greeting, words, 3) : insist(greeting, without_user, 2);
}

/* What HELLO is answered with says, beside much else, who the server is. */
static bool is_replica(const struct greeting *greeting)
{
    struct slice rest = greeting->rest;
    struct resp_token key, value;
    size_t size;
    for (int64_t i = 0; i + 1 < greeting->token.number; i += 2) {
        struct slice behind = rest;
        if (resp_read(&behind, &key) || key.kind != RESP_TEXT || resp_size(behind, &size))
            return false;
        rest = slice_from(behind, size);
        if (slice_equal(key.text, SLICE("role")))
            return !resp_read(&behind, &value) && slice_equal(value.text, SLICE("replica"));
    }
    return false;
}

static enum status refuse_replicas(const struct greeting *greeting)
{
    if (!is_replica(greeting))
        return OK;
    redis_complain(greeting->link->redis, SLICE("it is a replica, which takes no writes"));
    return REFUSED;
}

static enum status greet(struct greeting *greeting)
{
    const struct redis *redis = greeting->link->redis;
    struct slice user = redis->user.size ? redis->user : SLICE("default");
    const struct slice words[] = {
        SLICE_INIT("HELLO"), SLICE_INIT("3"), SLICE_INIT("AUTH"), user, redis->password};
    enum status e = say(greeting, words, redis->password.size ? 5 : 2);
    if (e)
        return e;
    greeting->link->is_version_3 = greeting->token.kind != RESP_ERROR;
    if (greeting->link->is_version_3)
        return refuse_replicas(greeting);
    if (slice_has_prefix(greeting->token.text, SLICE("ERR unknown command")) ||
        slice_has_prefix(greeting->token.text, SLICE("NOPROTO")))
        return greet_by_version_2(greeting);
    complain_of_answer(greeting);
    return REFUSED;
}

static enum status choose_database(struct greeting *greeting)
{
    char number[24];
    struct text text = text_fixed(number, sizeof number);
    if (greeting->link->redis->database == 0)
        return OK;
    text_add_i64(&text, greeting->link->redis->database);
    const struct slice words[] = {SLICE_INIT("SELECT"), text_slice(&text)};
    return insist(greeting, words, 2);
}

/* PING comes last: a server that has not read its data yet, or wants a password, says so then. */
static enum status introduce(struct redis_link *link, struct stream *stream, instant deadline)
{
    struct greeting *greeting = arena_new(&link->scratch, struct greeting);
    if (!greeting)
        return NO_MEMORY;
    *greeting = (struct greeting){.link = link, .stream = stream, .deadline = deadline};
    enum status e = greet(greeting);
    if (!e)
        e = choose_database(greeting);
    if (!e)
        e = insist(greeting, (const struct slice[]){SLICE_INIT("PING")}, 1);
    return e;
}

static enum status connect_to(struct redis_link *link, const struct address *address,
    instant deadline, struct stream **ret_stream)
{
    const struct redis *redis = link->redis;
    const char *trouble = "";
    struct stream *stream;
    enum status e = connect_address(address, redis->tls, redis->tls_name, SLICE_NONE, NULL,
        (struct connect_time){deadline, 0}, &stream, &trouble);
    if (e) {
        redis_complain(link->redis, slice_of_text(*trouble ? trouble : status_word(e)));
        return e;
    }
    e = introduce(link, stream, deadline);
    if (e)
        stream_close(stream);
    else
        *ret_stream = stream;
    return e;
}

/* All addresses of its name in turn. */
static enum status connect_by_name(
    struct redis_link *link, instant deadline, struct stream **ret_stream)
{
    struct redis *redis = link->redis;
    struct resolver *resolver = service_plane_worker_resolver(redis->stores->plane, link->worker);
    struct resolved resolved;
    enum status e = resolver ? resolver_resolve(resolver, redis->host, redis->port, &link->scratch,
                                   deadline, &resolved)
                             : NO_MEMORY;
    if (e) {
        redis_complain(redis, SLICE("its name has no address"));
        return e;
    }
    e = NOT_FOUND;
    for (size_t i = 0; e && e != CANCELLED && i < resolved.count; i++)
        e = connect_to(link, &resolved.addresses[i], deadline, ret_stream);
    return e;
}

enum status redis_connect(struct redis_link *link, struct stream **ret_stream)
{
    const struct redis *redis = link->redis;
    instant deadline = loop_now() + redis->connect_timeout;
    arena_init(&link->scratch, 0, 0);
    enum status e = redis->host.size ? connect_by_name(link, deadline, ret_stream)
                                     : connect_to(link, &redis->address, deadline, ret_stream);
    arena_release(&link->scratch);
    return e;
}
