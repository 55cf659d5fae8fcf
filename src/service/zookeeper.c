#include "service/zookeeper.h"

#include "run/loop.h"
#include "run/stream.h"

#define READ_SIZE     ((size_t)16 << 10)
#define SESSION_LEAST (30 * MILLISECOND) /* no server needs pings more often than that asks for */

static enum status fail(struct zookeeper *zk, enum status e, const char *trouble)
{
    zk->trouble = trouble;
    return e;
}

/* Pings go out, and answers are waited for, for a third each: the last third is for the way. */
static int64_t third(const struct zookeeper *zk)
{
    return zk->session > SESSION_LEAST ? zk->session / 3 : SESSION_LEAST / 3;
}

/* --- sending */

static enum status send_text(struct zookeeper *zk, struct text *text, instant deadline)
{
    enum status e =
        text->failed ? NO_MEMORY : stream_write(zk->stream, text->data, text->size, deadline, NULL);
    text_release(text);
    zk->sent = loop_now();
    if (e == TIMEOUT)
        return fail(zk, e, "it takes no questions");
    return e && e != CANCELLED && e != NO_MEMORY ? fail(zk, CLOSED, "it closed the connection") : e;
}

static enum status send_soon(struct zookeeper *zk, struct text *text)
{
    return send_text(zk, text, loop_now() + third(zk));
}

enum status zookeeper_ask(struct zookeeper *zk, enum jute_operation operation, struct slice path)
{
    struct text text = text_growing(JUTE_MESSAGE_MAX);
    zk->asked = zk->asked == INT32_MAX ? 1 : zk->asked + 1;
    jute_add_question(&text, zk->asked, operation, path);
    return send_soon(zk, &text);
}

enum status zookeeper_log_in(struct zookeeper *zk, struct slice scheme, struct slice credentials)
{
    struct text text = text_growing(JUTE_MESSAGE_MAX);
    jute_add_auth(&text, scheme, credentials);
    return send_soon(zk, &text);
}

static enum status ping(struct zookeeper *zk)
{
    struct text text = text_growing(0);
    jute_add_ping(&text);
    return send_soon(zk, &text);
}

/* --- hearing */

static void forget_taken(struct zookeeper *zk)
{
    size_t left = zk->in.size - zk->taken;
    if (zk->taken && left)
        memmove(zk->in.data, zk->in.data + zk->taken, left);
    zk->in.size = left;
    zk->taken = 0;
}

/* INCOMPLETE: more must come first. */
static enum status take_message(struct zookeeper *zk, struct slice *ret_message)
{
    struct slice rest = slice_from(text_slice(&zk->in), zk->taken);
    size_t length = 0;
    if (rest.size < JUTE_LENGTH_SIZE)
        return INCOMPLETE;
    if (jute_read_length(rest.data, &length))
        return fail(zk, INVALID, "it does not speak ZooKeeper's protocol, or too much of it");
    if (rest.size - JUTE_LENGTH_SIZE < length)
        return INCOMPLETE;
    *ret_message = slice_of(rest.data + JUTE_LENGTH_SIZE, length);
    zk->taken += JUTE_LENGTH_SIZE + length;
    return OK;
}

static enum status read_more(struct zookeeper *zk, instant deadline)
{
    size_t size;
    forget_taken(zk);
    if (!text_reserve(&zk->in, READ_SIZE))
        return NO_MEMORY;
    enum status e = stream_read(
        zk->stream, zk->in.data + zk->in.size, zk->in.capacity - zk->in.size, deadline, &size);
    if (!e)
        zk->in.size += size;
    if (!e || e == TIMEOUT || e == CANCELLED || e == NO_MEMORY)
        return e;
    return fail(zk, CLOSED, "it closed the connection");
}

/* Time counts only while it is waited for what may come: whoever was busy elsewhere finds it in the
 * socket. */
static enum status wait_for_more(struct zookeeper *zk)
{
    enum status e = OK;
    if (loop_now() - zk->sent >= third(zk))
        e = ping(zk);
    if (!e)
        e = read_more(zk, loop_now() + third(zk));
    if (e == TIMEOUT && zk->is_quiet)
        return fail(zk, e, "it says nothing any more");
    if (e && e != TIMEOUT)
        return e;
    zk->is_quiet = e == TIMEOUT;
    return OK;
}

static enum status check_number(struct zookeeper *zk, int32_t number)
{
    if (number < 0)
        return OK;
    zk->answered = zk->answered == INT32_MAX ? 1 : zk->answered + 1;
    return number == zk->answered ? OK : fail(zk, INVALID, "it answers what was not asked");
}

enum status zookeeper_next(struct zookeeper *zk, struct jute_answer *ret_answer)
{
    struct jute_answer answer;
    struct slice message;
    enum status e;
    while ((e = take_message(zk, &message)) == INCOMPLETE) {
        e = wait_for_more(zk);
        if (e)
            return e;
    }
    if (!e && jute_read_answer(message, &answer))
        e = fail(zk, INVALID, "an answer makes no sense");
    if (!e)
        e = check_number(zk, answer.number);
    if (!e)
        *ret_answer = answer;
    return e;
}

/* --- sessions */

enum status zookeeper_begin(
    struct zookeeper *zk, struct stream *stream, int64_t session, instant deadline)
{
    struct text hello = text_growing(0);
    struct slice message;
    *zk = (struct zookeeper){
        .stream = stream, .in = text_growing(2 * JUTE_MESSAGE_MAX), .trouble = ""};
    jute_add_hello(&hello, session);
    enum status e = send_text(zk, &hello, deadline);
    while (!e && (e = take_message(zk, &message)) == INCOMPLETE)
        e = read_more(zk, deadline);
    if (e == TIMEOUT)
        return fail(zk, e, "it gives no session in time");
    if (!e && jute_read_hello(message, &zk->session))
        return fail(zk, INVALID, "it gives no session");
    return e;
}

void zookeeper_end(struct zookeeper *zk)
{
    struct text text = text_growing(0);
    if (zk->stream) {
        jute_add_close(&text, zk->asked + 1);
        (void)send_text(zk, &text, loop_now());
    }
    stream_close(zk->stream);
    text_release(&zk->in);
    *zk = (struct zookeeper){.stream = NULL};
}
