/* A conversation with one server of a ZooKeeper ensemble: a session that lives as long as its
 * connection.
 *
 * ZooKeeper would let a session go on at another server. Whoever only reads needs no such thing:
 * after each break all is read anew, so it does not matter whether the connection broke, the server
 * died or the session expired, and nothing that happened meanwhile can be missed.
 *
 *     e = zookeeper_begin(&zk, stream, session, deadline);
 *     e = zookeeper_ask(&zk, JUTE_CHILDREN, path);        as often as you like
 *     e = zookeeper_next(&zk, &answer);                   answers in the questions' order
 *     zookeeper_end(&zk);
 *
 * On one fiber. What it says when it fails is in `trouble`, in words. */
#pragma once

#include "base/clock.h"
#include "service/jute.h"

struct stream;

struct zookeeper {
    struct stream *stream; /* owned; NULL: there is none */
    struct text in;        /* what has come and was not taken yet */
    size_t taken;
    int64_t session;         /* nanoseconds: the server forgets who says nothing for so long */
    int32_t asked, answered; /* numbers of the newest question and the newest answer */
    instant sent;            /* when something was last sent */
    bool is_quiet;           /* nothing was heard for a third of the session */
    const char *trouble;
};

/* Takes the stream, also when it fails. */
enum status zookeeper_begin(
    struct zookeeper *zk, struct stream *stream, int64_t session, instant deadline);

/* Says that nobody listens any more, and closes. Harmless before zookeeper_begin on zeroed bytes.
 */
void zookeeper_end(struct zookeeper *zk);

/* Who we are, for all questions from now on. A server that will not have it ends the session. */
enum status zookeeper_log_in(struct zookeeper *zk, struct slice scheme, struct slice credentials);

/* Sends a question. TIMEOUT, CLOSED, CANCELLED. */
enum status zookeeper_ask(struct zookeeper *zk, enum jute_operation operation, struct slice path);

/* Waits for whatever comes next, until the next call: an answer, an event, the answer to a ping,
 * which it sends by itself whenever that is due. TIMEOUT: the server has said nothing for two
 * thirds of the session; CLOSED, INVALID, NO_MEMORY, CANCELLED. */
enum status zookeeper_next(struct zookeeper *zk, struct jute_answer *ret_answer);
