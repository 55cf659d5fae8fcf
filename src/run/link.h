/* Links: messages between two processes over a connected unix socket, each of which may carry a
 * descriptor (SCM_RIGHTS, unix(7)).
 *
 * A message is its size (4 bytes, big-endian), a byte that says whether a descriptor comes with it,
 * and its bytes. The kernel delivers a descriptor with the first byte of what it was sent with, so
 * those that have come are lent, in turn, to the messages that say they carry one.
 *
 * A link belongs to one loop, and one fiber uses it at a time. */
#pragma once

#include "base/clock.h"
#include "base/slice.h"
#include "base/status.h"

#define LINK_MESSAGE_MAX     4096 /* bytes of a message */
#define LINK_DESCRIPTORS_MAX 16   /* that have come and not been taken yet */
#define LINK_HEADER_SIZE     5

struct link {
    int descriptor;                        /* owned; -1: none */
    size_t size;                           /* bytes in `data` */
    size_t taken;                          /* of them: what link_receive has returned */
    unsigned came;                         /* descriptors in `descriptors` */
    int descriptors[LINK_DESCRIPTORS_MAX]; /* owned */
    char data[LINK_HEADER_SIZE + LINK_MESSAGE_MAX];
};

/* Takes over a connected, non-blocking descriptor. */
void link_init(struct link *link, int descriptor);
void link_release(struct link *link);

/* Sends a message and, unless it is -1, a descriptor, which stays the caller's. On a fiber. CLOSED
 * when nobody listens any more; TIMEOUT, CANCELLED, TOO_LARGE, IO_ERROR. */
enum status link_send(struct link *link, struct slice message, int descriptor, instant deadline);

/* The next message, good until the next call; the descriptor that came with it, which is the
 * caller's and close-on-exec, or -1. On a fiber. END when the other side is gone, INCOMPLETE when
 * it went within a message; INVALID, TIMEOUT, CANCELLED, IO_ERROR. */
enum status link_receive(
    struct link *link, instant deadline, struct slice *ret_message, int *ret_descriptor);
