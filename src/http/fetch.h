/* Fetching: the control thread's own questions by HTTP/1.1, to authorities, registries and the
 * like.
 *
 *     fetch_init(&fetch, &place, resolver, tls);
 *     e = fetch_ask(&fetch, &question, &arena, deadline);         status and fields are there
 *     e = fetch_read(&fetch, deadline, &bytes);                   again and again, until END,
 *     e = fetch_read_all(&fetch, limit, deadline, &bytes);        or all at once
 *     fetch_done(&fetch);                                         may be asked again
 *     fetch_close(&fetch);
 *
 * One question at a time, on a fiber of the loop that owns the resolver. The connection is kept for
 * the next question when both sides allow it. What is borrowed outlives the fetch. */
#pragma once

#include "http/h1.h"
#include "run/tls.h"

struct resolver;

/* Whom to ask. */
struct fetch_place {
    struct slice authority, host; /* "consul.internal:8500", "consul.internal" */
    struct slice path;            /* with its query; goes before each target */
    uint16_t port;
    bool is_tls;
    bool is_local;        /* a unix socket: */
    struct address local; /* ... this one */
};

/* Reads "https://host:port/path", "http://host" or "unix:/path"; in the arena. INVALID, with a
 * static text that says what is wrong; NO_MEMORY. */
enum status fetch_place_parse(
    struct arena *arena, struct slice url, struct fetch_place *ret_place, const char **ret_problem);

struct fetch_field {
    const char *name;
    struct slice value;
};

struct fetch_question {
    const char *method;
    struct slice target; /* a path with its query */
    const struct fetch_field *fields;
    size_t field_count;
    struct slice type; /* of the body */
    struct slice body; /* null data: none */
};

struct fetch {
    const struct fetch_place *place; /* borrowed */
    struct resolver *resolver;       /* borrowed; NULL: for addresses and unix sockets only */
    struct tls_client *tls;          /* borrowed; NULL: for places without TLS only */
    struct wire wire;                /* owned, while open */
    bool is_open, has_body;
    const char *trouble; /* why the newest question failed, in words */

    /* Of the newest answer. */
    struct http_response response;
    struct h1_framing framing;
    struct h1_body body;
};

void fetch_init(struct fetch *fetch, const struct fetch_place *place, struct resolver *resolver,
    struct tls_client *tls);

/* Asks and reads the answer's head, into the arena. NOT_FOUND: the host has no address; REFUSED,
 * UNREACHABLE, TIMEOUT, CLOSED, IO_ERROR, TLS_…, INVALID (the answer is not HTTP), NO_MEMORY,
 * CANCELLED. */
enum status fetch_ask(struct fetch *fetch, const struct fetch_question *question,
    struct arena *arena, instant deadline);

/* The next bytes of the body, until the next call; END. */
enum status fetch_read(struct fetch *fetch, instant deadline, struct slice *ret_bytes);

/* The whole body, in the arena of the question; TOO_LARGE past `limit`. */
enum status fetch_read_all(
    struct fetch *fetch, size_t limit, instant deadline, struct slice *ret_bytes);

/* The answer was read, or is of no more interest. */
void fetch_done(struct fetch *fetch);

/* Again is harmless. */
void fetch_close(struct fetch *fetch);
