/* A rig for the service floor: one service, fake endpoints that behave as a test tells them, all on
 * the test's own loop.
 *
 *     struct rig *rig = rig_new();
 *     struct fake *fake = rig_fake(rig, serve_politely, NULL);
 *     rig_service(rig, "{at: %s, timeout: 200ms}", fake->text);
 *     assert_ok(rig_get(rig, "/x"));
 *     assert_slice(rig_body(rig), "hello");
 *     rig_free(rig);                              // also checks that nothing was left behind
 */
#pragma once

#include "http/h1.h"
#include "run/socket.h"
#include "service/service.h"
#include "support/on_loop.h"
#include "support/unit.h"

#define RIG_FAKES 4

struct fake {
    struct rig *rig;
    int descriptor;
    struct acceptor *acceptor;
    char text[64]; /* its address: "127.0.0.1:4711" */
    /* Serves one connection, the `number`th from 1; closing is done by the rig. */
    void (*serve)(struct fake *fake, struct stream *stream, int number);
    void *context;
    int connections; /* so far */
    int open;        /* now */
    int requests;    /* that fake_read has read */
    char last[8192]; /* the newest of them, head and body */
};

struct rig {
    struct registry *registry;
    struct metrics *metrics;
    struct metrics_shard *shards[1];
    struct loop *loops[1];
    struct service_plane *plane;
    struct scope scope; /* of the fakes' fibers */
    struct fake fakes[RIG_FAKES];
    int fake_count;
    struct arena snapshot; /* of the service */
    struct diagnostics diagnostics;
    const struct service *service;
    struct exchange x;
    struct body no_body;
    struct body_slice body;
    bool has_exchange;
    int descriptors;    /* open ones before */
    char read[1 << 16]; /* of the newest answer's body */
};

struct rig *rig_new(void);
void rig_free(struct rig *rig);

/* The same for each test of a program; the rig is the test's state. */
int rig_setup(void **state);
int rig_teardown(void **state);

struct fake *rig_fake(struct rig *rig,
    void (*serve)(struct fake *fake, struct stream *stream, int number), void *context);

/* The same, not at a port of 127.0.0.1 that the kernel picks. */
struct fake *rig_fake_at(struct rig *rig, const char *where,
    void (*serve)(struct fake *fake, struct stream *stream, int number), void *context);

/* Closes its listening socket: connecting is refused then. */
void fake_stop(struct fake *fake);

/* Makes the service "demo" from YAML with a printf's arguments; a former one is replaced, as by a
 * reload. */
void rig_service(struct rig *rig, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Begins a new exchange; the one before ends. */
void rig_request(struct rig *rig, const char *method, const char *path);
void rig_request_body(struct rig *rig, const char *bytes);

/* Calls the service. */
enum status rig_call(struct rig *rig);
enum status rig_get(struct rig *rig, const char *path);

/* Reads the answer's body to its end; the status that ended it in `rig_body_end`. */
struct slice rig_body(struct rig *rig);
enum status rig_read_body(struct rig *rig, struct slice *ret_body);

/* GET, and the whole answer must be status 200 and `body`. */
void rig_expect(struct rig *rig, const char *body);

/* The service's state as JSON, in rig->read. */
const char *rig_describe(struct rig *rig);

/* --- for serve functions */

/* Reads one request, head and (by Content-Length or chunks) body. False at the end of the
 * connection. */
bool fake_read(struct fake *fake, struct stream *stream);
/* Only the head. */
bool fake_read_head(struct fake *fake, struct stream *stream);
void fake_write(struct stream *stream, const char *text);
/* An answer with a body and its length. */
void fake_answer(struct stream *stream, int status, const char *body);

/* Answers every request with "hello", keeping the connection. */
void serve_politely(struct fake *fake, struct stream *stream, int number);
