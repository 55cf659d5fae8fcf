/* ZooKeeper's messages as bytes, in the encoding that it calls jute: numbers with the highest byte
 * first, texts behind their lengths, and each message behind its own. Only those are known that
 * are needed to read nodes and to watch them; the names of operations, errors and events are in
 * https://zookeeper.apache.org/doc/r3.8.0/apidocs/zookeeper-server (ZooDefs, KeeperException.Code,
 * Watcher.Event.EventType).
 *
 * Readers point into the bytes that they were given. */
#pragma once

#include "base/status.h"
#include "base/text.h"

#define JUTE_MESSAGE_MAX ((size_t)16 << 20) /* 100,000 names of 160 bytes */
#define JUTE_LENGTH_SIZE 4                  /* before each message */

enum jute_operation {
    JUTE_EXISTS = 3,
    JUTE_DATA = 4,
    JUTE_CHILDREN = 8,
    JUTE_PING = 11,
    JUTE_AUTH = 100,
    JUTE_CLOSE = -11
};

/* What a message is about, when it is not the answer to a question with a number of its own. */
enum jute_number { JUTE_OF_EVENT = -1, JUTE_OF_PING = -2, JUTE_OF_AUTH = -4 };

enum jute_error { JUTE_NO_NODE = -101, JUTE_NO_RIGHT = -102 };

enum jute_event_type {
    JUTE_CREATED = 1,
    JUTE_DELETED = 2,
    JUTE_DATA_CHANGED = 3,
    JUTE_CHILDREN_CHANGED = 4
};

/* --- to the server: with their length */

/* The first message: a new session, which ends when nothing is heard for so long. */
void jute_add_hello(struct text *text, int64_t session);

/* A question about a node, which is watched from then on. */
void jute_add_question(
    struct text *text, int32_t number, enum jute_operation operation, struct slice path);

void jute_add_ping(struct text *text);
void jute_add_close(struct text *text, int32_t number);

/* Who we are: "digest" and "user:password". */
void jute_add_auth(struct text *text, struct slice scheme, struct slice credentials);

/* --- from the server: without their length */

/* How many bytes the message has; INVALID: no message has so many. */
enum status jute_read_length(const char bytes[JUTE_LENGTH_SIZE], size_t *ret_length);

/* The answer to the first message: how long the session lives, in nanoseconds. INVALID also when
 * there is none. */
enum status jute_read_hello(struct slice message, int64_t *ret_session);

struct jute_answer {
    int32_t number; /* of the question, or an enum jute_number */
    int32_t error;  /* an enum jute_error or another; 0: none */
    struct slice body;
};
enum status jute_read_answer(struct slice message, struct jute_answer *ret_answer);

struct jute_event {
    int32_t type; /* an enum jute_event_type or another */
    struct slice path;
};
enum status jute_read_event(struct slice body, struct jute_event *ret_event);

/* The data of a node. */
enum status jute_read_data(struct slice body, struct slice *ret_data);

/* The names of a node's children: how many there are, and then one by one from the rest. */
enum status jute_read_children(struct slice body, size_t *ret_count, struct slice *ret_rest);
enum status jute_read_child(struct slice *rest, struct slice *ret_name);
