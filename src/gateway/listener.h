/* Listeners: the addresses where clients connect. One descriptor for each, shared by all workers,
 * owned by the control thread; so reloads, socket activation and unix sockets lose nothing. */
#pragma once

#include "gateway/options.h"
#include "run/inheritance.h"
#include "run/socket.h"

struct listener {
    struct address address;
    /* Borrowed: where it comes from, when the predecessor gave it; else NULL. */
    const struct inheritance *lender;
    int descriptor;    /* owned */
    bool is_inherited; /* another has it too: a unix path is left in place */
    bool is_succeeded; /* another was opened beside it, to take over when it is closed */
    bool is_tls;
    enum listen_kind kind;
    size_t name_size;
    char name[]; /* as the configuration writes it, for logs and metrics */
};

#define LISTENER_BACKLOG 4096

/* Opens, or finds among what this process inherited (NULL: nothing). EXISTS, IO_ERROR; errno says
 * why. */
enum status listener_open(struct inheritance *inheritance, const struct listen_address *at,
    struct listener **ret_listener);

/* As listener_open, although the address overlaps with some of `leaving` (ends with NULL), which
 * are about to be closed: listener_retire them first. */
enum status listener_open_beside(const struct listen_address *at, struct listener *const *leaving,
    struct listener **ret_listener);

/* Before what waits in its queue is taken for the last time. */
void listener_retire(struct listener *listener);

/* The same address under another name, with a descriptor of its own. It leaves a unix
 * path in place; who closes the old one passes that duty on. */
enum status listener_rename(
    const struct listener *old, const struct listen_address *at, struct listener **ret_listener);

/* Closes; removes a unix socket's path that was made here. */
void listener_close(struct listener *listener);

/* Where it really listens: the kernel picks the port when 0 was asked for. UNREACHABLE when it
 * cannot be told. */
enum status listener_bound(const struct listener *listener, struct address *ret_address);

/* Adds a copy of its socket to what a successor is offered, unless that is there already. */
enum status listener_offer(const struct listener *listener, struct inheritance *offer);

/* Whether the successor took it. */
bool listener_is_taken(const struct listener *listener, const struct inheritance *offer);

struct slice listener_name(const struct listener *listener);

/* True when it is what a configuration asks for at `at`: the same address, written in the same way,
 * for the same. */
bool listener_is_for(const struct listener *listener, const struct listen_address *at);
