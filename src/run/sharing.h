/* Sharing connections evenly among workers that watch the same listening descriptors.
 *
 * There is one listening socket an address, whatever the number of workers: so unix sockets, socket
 * activation, reloads and upgrades lose no connection, as they would with a queue for each worker
 * (SO_REUSEPORT) when one of them goes. The kernel wakes one of the workers for an arrival, but
 * always prefers the same; so a worker that has clearly more connections than the average hands
 * what it has just accepted to the one that has least.
 *
 *     share_group_new(workers, &group);                       once
 *     share_join(group, &member);                             on each worker's thread
 *     acceptor_new_shared(descriptor, member, accepted, ...)  on each worker, for each listener
 *     share_done(member);                                     when a connection ends
 *
 * Nothing that was accepted is lost: what was handed over to a worker that frees its acceptor is
 * still given to its callback, inside acceptor_free. */
#pragma once

#include <stddef.h>

#include "run/socket.h"

struct share_group;
struct share_member;

/* For up to `capacity` members. NO_MEMORY. */
enum status share_group_new(size_t capacity, struct share_group **ret_group);

/* After the loops of all members have ended. NULL is fine. */
void share_group_free(struct share_group *group);

/* The calling thread's loop becomes a member, for as long as the group lives. FULL. */
enum status share_join(struct share_group *group, struct share_member **ret_member);

/* As acceptor_new. `accepted` is called on the member's thread, and the connection counts as the
 * member's from then on. EXISTS when the member watches the descriptor already. No loop of the
 * group may end before the acceptors of all members are freed. */
enum status acceptor_new_shared(int descriptor, struct share_member *member,
    accept_callback *accepted, void *argument, struct acceptor **ret_acceptor);

/* A connection that `accepted` was called with has ended. On the member's thread. */
void share_done(struct share_member *member);

/* How many connections the member has. From any thread. */
size_t share_count(const struct share_member *member);
