/* What the two files of the HTTP/2 client share: h2_client.c has the connection, h2_client_call.c
 * the requests, h2_client_events.c what the session tells. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "http/h2_client.h"
#include "http/h2_fields.h"
#include "run/buffer.h"
#include "run/scope.h"
#include "run/timer.h"

/* The largest DATA frame sent: so that any frame fits a small buffer that is empty. */
#define H2_DATA_MAX   (BUFFER_SMALL - 64)
#define H2_FRAME_HEAD 9

struct h2_client {
    struct h2_client_options options;
    struct stream *stream;    /* owned */
    nghttp2_session *session; /* owned */
    struct list calls;        /* of struct h2_call */
    uint32_t call_count;
    struct scope scope;   /* of the writer; the reader owns everything */
    struct fiber *reader; /* NULL until it runs */
    struct fiber *writer; /* while it rests, else NULL */
    struct buffer *out;   /* owned: what is being gathered to be written, or NULL */
    size_t out_size;
    struct slice out_rest; /* behind that: the session's memory */
    struct timer ping;     /* set while requests are under way, or an answer to a ping is due */
    instant heard;         /* the last time that anything came */
    instant ping_due;      /* NEVER, or when the answer to a ping must be here */
    bool is_settled;       /* the peer's SETTINGS have come */
    bool is_closing;       /* no more requests */
    bool says_goodbye;     /* the last frames are on their way */
    bool is_over;          /* the reader ends it now */
    enum status reason;    /* why it ended, for the requests under way */
};

/* A part of an answer's body as it waits to be read. */
struct h2_part {
    struct h2_part *next;
    struct buffer *buffer; /* owned: it holds this struct, too */
    size_t begin, size;    /* what lies before `begin` was taken already */
    char data[];
};

struct h2_head {
    struct h2_head *next;
    struct http_response response;
    struct h2_budget budget;
    bool is_whole;
    bool ends; /* the message has no body */
};

/* Ends the connection now; the first reason counts. */
void h2_client_break(struct h2_client *client, enum status reason);

/* Lets the writer look at what the session wants to send. */
void h2_client_flush(struct h2_client *client);

/* After a request was handed to the session. */
void h2_client_begun(struct h2_client *client);

static inline void h2_client_tell(struct h2_client *client, enum h2_news news, uint32_t code)
{
    client->options.told(client->options.owner, news, code);
}

/* Takes a call off the connection. */
void h2_client_forget(struct h2_client *client, struct h2_call *call);

/* Callbacks of the session; NO_MEMORY. */
enum status h2_client_events(nghttp2_session_callbacks **ret_callbacks);

/* Wakes who waits for the call's answer, or to send. */
void h2_call_note(struct h2_call *call);

/* Nothing more comes, and why; what came can be read. Detaches. */
void h2_call_fail(struct h2_call *call, enum status failure);

/* Appends to what waits to be read; NO_MEMORY. */
enum status h2_call_store(struct h2_call *call, struct slice bytes);

/* What the session sends of the call's body next. */
ssize_t h2_call_provide(nghttp2_session *session, int32_t id, uint8_t *room, size_t capacity,
    uint32_t *flags, nghttp2_data_source *source, void *argument);
