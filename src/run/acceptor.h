/* The inside of acceptors (run/socket.h), for the run floor only: run/sharing.h puts itself between
 * accept and callback. */
#pragma once

#include "run/io.h"
#include "run/socket.h"
#include "run/timer.h"

struct acceptor {
    struct io io;
    accept_callback *accepted;
    void *argument; /* of `accepted` */
    struct timer pause;
    bool is_busy;                              /* in a callback, which may free the acceptor ... */
    bool is_closed;                            /* ... and has: freed when the callback returns */
    void (*closed)(struct acceptor *acceptor); /* before it is freed; or NULL */
};

/* As acceptor_new, into memory that the caller got from malloc; acceptor_free frees it. */
enum status acceptor_open(
    struct acceptor *acceptor, int descriptor, accept_callback *accepted, void *argument);

/* Between the two, acceptor_free only notes that it was called. */
void acceptor_hold(struct acceptor *acceptor);
void acceptor_let_go(struct acceptor *acceptor);
