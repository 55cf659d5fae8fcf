/* A request's body that is kept while it is read, up to a limit, so that it can be read again from
 * its beginning: what was read once comes from memory, the rest from where it came from. Beyond the
 * limit nothing is kept any more, and it can be read once, as it was. */
#pragma once

#include "http/body.h"

struct kept_part;

struct kept_body {
    struct body body;
    struct body *inner;                    /* borrowed: not dropped with this */
    struct arena *arena;                   /* borrowed: the parts */
    struct kept_part *first, *last, *next; /* `next`: to be read again; NULL: all was */
    size_t room;                           /* bytes that may still be kept */
    bool is_lost;                          /* there were more */
    struct body rest;                      /* of a twin: where it came from has nothing more */
};

struct body *kept_body_init(
    struct kept_body *kept, struct body *inner, struct arena *arena, size_t max);

/* All of a body that was read to its end and kept, to be read from its beginning beside it. */
struct body *kept_body_twin(struct kept_body *twin, const struct kept_body *kept);
