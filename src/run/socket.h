/* Sockets as streams, and listening sockets. */
#pragma once

#include "run/stream.h"

struct socket_options {
    bool no_delay;      /* TCP_NODELAY; on for every stream here */
    int receive_buffer; /* SO_RCVBUF, bytes; 0: the kernel's own */
    int send_buffer;    /* SO_SNDBUF */
};

/* Connects without blocking the loop. REFUSED, UNREACHABLE, TIMEOUT, CANCELLED, IO_ERROR,
 * NO_MEMORY. */
enum status socket_connect(const struct address *address, const struct socket_options *options,
    instant deadline, struct stream **ret_stream);

/* Makes a stream of a connected, non-blocking descriptor, which it owns from then on (also on
 * failure: closed). `peer` may be NULL: asked of the kernel when needed. */
enum status socket_adopt(int descriptor, const struct address *peer, struct stream **ret_stream);

/* The descriptor under a stream that is a socket and nothing more, still the stream's; -1: it is
 * not. */
int socket_descriptor(const struct stream *stream);

/* Who is at the other end of a unix socket, as the kernel says: the process and its user. */
struct socket_peer {
    int64_t process;
    uint32_t user;
};
bool socket_peer(int descriptor, struct socket_peer *ret_peer);

/* Until the kernel has room for more, after it has said that it has none; of such a stream. */
enum status socket_wait_for_room(struct stream *stream, instant deadline);

/* From now on the peer, and our own address, are said to be these: a proxy has told for whom it
 * speaks. Only of a socket that nothing stands on yet. NO_MEMORY. */
enum status socket_speak_for(
    struct stream *stream, const struct address *peer, const struct address *local);

/* Two connected streams, for tests. */
enum status socket_pair(struct stream **ret_a, struct stream **ret_b);

/* A listening descriptor, non-blocking, close-on-exec; not bound to a loop, so that every worker
 * can watch it. EXISTS when the address is in use. A unix path that nobody listens on any more is
 * removed first. */
enum status socket_listen(const struct address *address, int backlog, int *ret_descriptor);

/* The same for a unix path that from its first moment only its owner may connect to. */
enum status socket_listen_private(const struct address *address, int backlog, int *ret_descriptor);

/* As socket_listen, although descriptors of this process listen on addresses that overlap: every
 * address at a port, and one of them. Until they are closed, connections go to the narrowest. */
enum status socket_listen_beside(const struct address *address, int backlog, const int *others,
    size_t count, int *ret_descriptor);

/* Lets nobody else into the queue of a listening TCP descriptor that is to be closed while another
 * listens beside it: the kernel drops what asks for a connection, the client asks again (within a
 * second) and finds the other. Who is half way in still comes in. IO_ERROR. */
enum status socket_stop_listening(int descriptor);

/* Watches a listening descriptor on the calling thread's loop and calls `accepted` for every
 * connection, outside any fiber. The descriptor itself stays the caller's. With several loops on
 * one descriptor the kernel wakes one of them for each arrival. */
struct acceptor;
typedef void accept_callback(void *argument, int descriptor, const struct address *peer);
enum status acceptor_new(
    int descriptor, accept_callback *accepted, void *argument, struct acceptor **ret_acceptor);

/* Stops watching. Connections that wait in the descriptor's queue stay there. */
void acceptor_free(struct acceptor *acceptor);

/* Accepts whatever waits in the queue now (before the last watcher closes the descriptor, so that
 * nobody who connected is lost). The callback is called from where the caller is, be it a fiber. */
void acceptor_drain(struct acceptor *acceptor);
