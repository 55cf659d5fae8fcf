#include "run/stream.h"
#include "store/redis_state.h"

/* What the server says against it, but for what we have said ourselves, which may be secret. */
static void complain_of_answer(const struct redis_greeting *greeting)
{
    struct slice error = greeting->token.text;
    redis_complain(greeting->link->redis, slice_head(error, slice_find(error, ',')));
}

static enum status read_answer(struct redis_greeting *greeting)
{
    size_t have = 0, size;
    for (;;) {
        struct slice bytes = slice_of(greeting->answer, have);
        enum status e = resp_size(bytes, &size);
        if (!e) {
            greeting->rest = bytes;
            return resp_read(&greeting->rest, &greeting->token);
        }
        if (e == INCOMPLETE && have == REDIS_GREETING_MAX)
            e = TOO_LARGE;
        if (e == INCOMPLETE)
            e = stream_read(greeting->stream, greeting->answer + have, REDIS_GREETING_MAX - have,
                greeting->deadline, &size);
        if (e)
            return e;
        have += size;
    }
}

static enum status say(struct redis_greeting *greeting, const struct slice *words, size_t count)
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

enum status redis_insist(struct redis_greeting *greeting, const struct slice *words, size_t count)
{
    enum status e = say(greeting, words, count);
    if (e || greeting->token.kind != RESP_ERROR)
        return e;
    complain_of_answer(greeting);
    return REFUSED;
}

/* What HELLO is answered with says, beside much else, who the server is. */
static bool is_replica(const struct redis_greeting *greeting)
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

/* One of a cluster sends whoever writes to its master. */
static enum status refuse_replica(const struct redis_greeting *greeting)
{
    if (greeting->link->redis->is_cluster)
        return OK;
    redis_complain(greeting->link->redis, SLICE("it is a replica, which takes no writes"));
    return REFUSED;
}

/* Who may not ask for that is let through. */
static enum status refuse_replicas_by_role(struct redis_greeting *greeting)
{
    struct resp_token role;
    enum status e = say(greeting, (const struct slice[]){SLICE_INIT("ROLE")}, 1);
    if (e || greeting->token.kind != RESP_LIST || resp_read(&greeting->rest, &role))
        return e;
    return slice_equal(role.text, SLICE("slave")) ? refuse_replica(greeting) : OK;
}

static enum status authenticate(
    struct redis_greeting *greeting, const struct redis_identity *identity)
{
    const struct slice words[] = {SLICE_INIT("AUTH"), identity->user, identity->password};
    const struct slice without_user[] = {SLICE_INIT("AUTH"), identity->password};
    if (!identity->password.size)
        return OK;
    return identity->user.size ? redis_insist(greeting, words, 3)
                               : redis_insist(greeting, without_user, 2);
}

enum status redis_greet_sentinel(struct redis_greeting *greeting)
{
    return authenticate(greeting, &greeting->link->redis->sentinel_identity);
}

/* To servers older than version 6, or whose administrators have taken HELLO away. */
static enum status greet_by_version_2(struct redis_greeting *greeting)
{
    greeting->link->is_version_3 = false;
    enum status e = authenticate(greeting, &greeting->link->redis->server_identity);
    return e ? e : refuse_replicas_by_role(greeting);
}

static enum status greet(struct redis_greeting *greeting)
{
    const struct redis_identity *who = &greeting->link->redis->server_identity;
    struct slice user = who->user.size ? who->user : SLICE("default");
    const struct slice words[] = {
        SLICE_INIT("HELLO"), SLICE_INIT("3"), SLICE_INIT("AUTH"), user, who->password};
    enum status e = say(greeting, words, who->password.size ? 5 : 2);
    if (e)
        return e;
    greeting->link->is_version_3 = greeting->token.kind != RESP_ERROR;
    if (greeting->link->is_version_3)
        return is_replica(greeting) ? refuse_replica(greeting) : OK;
    if (slice_has_prefix(greeting->token.text, SLICE("ERR unknown command")) ||
        slice_has_prefix(greeting->token.text, SLICE("NOPROTO")))
        return greet_by_version_2(greeting);
    complain_of_answer(greeting);
    return REFUSED;
}

static enum status choose_database(struct redis_greeting *greeting)
{
    char number[24];
    struct text text = text_fixed(number, sizeof number);
    if (greeting->link->redis->database == 0)
        return OK;
    text_add_i64(&text, greeting->link->redis->database);
    const struct slice words[] = {SLICE_INIT("SELECT"), text_slice(&text)};
    return redis_insist(greeting, words, 2);
}

/* PING comes last: a server that has not read its data yet says so then. */
enum status redis_greet(struct redis_greeting *greeting)
{
    enum status e = greet(greeting);
    if (!e)
        e = choose_database(greeting);
    return e ? e : redis_insist(greeting, (const struct slice[]){SLICE_INIT("PING")}, 1);
}
