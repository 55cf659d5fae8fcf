/* Witnesses: bodies that are watched while somebody else reads them. Says once what became of the
 * body: whether it came to its end, and a hash of its bytes if that is wanted; or shows the bytes
 * as they pass. Changes nothing of what the reader sees, but that bytes which are looked at cannot
 * be spliced, and that what is hashed cannot begin anew. */
#pragma once

#include "http/body.h"

struct witness {
    struct body body;
    struct body *inner; /* borrowed */
    bool hashes;
    bool has_ended, has_failed;
    bool is_known; /* the end was peeked at: `peeked` is the hash of all */
    uint64_t peeked;
    void *state;                                                /* owned: of the hash */
    void (*done)(void *argument, bool is_whole, uint64_t hash); /* or NULL */
    void *argument;
    void (*see)(void *viewer, struct slice bytes); /* or NULL */
    void *viewer;
};

/* Puts the witness, in memory of the exchange, in front of `inner`, and returns it. `done` is
 * called when it is dropped, if there is one. NO_MEMORY is silent: then no hash is known. */
struct body *witness_begin(struct witness *witness, struct body *inner, bool hashes,
    void (*done)(void *argument, bool is_whole, uint64_t hash), void *argument);

/* Before the first read: `see` is shown all bytes, once each; and none when they begin anew. */
void witness_show(
    struct witness *witness, void (*see)(void *viewer, struct slice bytes), void *viewer);

/* Reads a body to its end, hashing it as a witness does. What ended it: END is good. */
enum status witness_read_all(struct body *body, instant deadline, uint64_t *ret_hash);
