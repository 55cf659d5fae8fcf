/* Sockets that this process did not open itself: the service manager passed them
 * (sd_listen_fds(3)), or the process that it replaces did (`weir upgrade`). Whoever opens a
 * listener, of whatever kind, looks here first.
 *
 * What the manager passed is its own: it stays open here for as long as the process lives, and
 * takers get copies, so that a listener can go in one reload and come back in another. What the
 * predecessor passed is given away once, and the rest is closed when the start is over.
 *
 * What is no socket but has to go over as well is noted here by its name.
 *
 * Not shared between threads: the control thread's. */
#pragma once

#include <stdbool.h>

#include "run/address.h"

struct inheritance;

enum status inheritance_new(struct inheritance **ret_inheritance);

/* Closes what nobody took. NULL is fine. */
void inheritance_free(struct inheritance *inheritance);

/* Adds what the service manager passed to this very process. NO_MEMORY. */
enum status inheritance_add_passed(struct inheritance *inheritance);

/* Adds one, and owns it from then on (also on failure: closed). `name` is the listener's, as the
 * configuration writes it; `is_managed`: the service manager has it too. INVALID when it is not a
 * socket that waits for clients; NO_MEMORY. */
enum status inheritance_add(
    struct inheritance *inheritance, struct slice name, bool is_managed, int descriptor);

struct inherited_socket {
    int descriptor;  /* the taker's; non-blocking, close-on-exec */
    bool is_managed; /* a unix path is to be left in place */
};

/* Takes one of that type (SOCK_STREAM, SOCK_DGRAM) bound to that address; for port 0, which any
 * port answers, the one of that name. False when there is none (`inheritance` may be NULL). */
bool inheritance_take(struct inheritance *inheritance, int type, const struct address *address,
    struct slice name, struct inherited_socket *ret_socket);

/* The predecessor has let go: closes what is neither the manager's nor taken. Until then paths of
 * unix sockets are the predecessor's, which goes on with them if this process fails. */
void inheritance_close_rest(struct inheritance *inheritance);
bool inheritance_is_settled(const struct inheritance *inheritance);

/* Beside sockets, bytes under a name, such as keys that a successor needs. They are wiped when they
 * are freed. NO_MEMORY. */
enum status inheritance_note(
    struct inheritance *inheritance, struct slice name, struct slice bytes);
struct slice inheritance_noted(const struct inheritance *inheritance, struct slice name);

/* For passing them on: how many were added, in that order, and what has become of each. Who passes
 * them keeps such a list too, of copies, and marks what the successor says that it took. */
struct inherited {
    struct slice name;
    struct address address; /* where it is bound */
    int type;               /* SOCK_STREAM or SOCK_DGRAM */
    int descriptor;         /* the inheritance's; -1: given away, or closed */
    bool is_managed;
    bool is_taken;
};
struct inherited_note {
    struct slice name, bytes;
};
void inheritance_mark_taken(struct inheritance *inheritance, size_t index);
const struct inherited *inheritance_find(
    const struct inheritance *inheritance, int type, const struct address *address); /* or NULL */
size_t inheritance_count(const struct inheritance *inheritance);
const struct inherited_note *inheritance_note_at(
    const struct inheritance *inheritance, size_t index); /* NULL: there are no more */
const struct inherited *inheritance_at(const struct inheritance *inheritance, size_t index);
