/* What a source has found: the endpoints of one answer, and the difference to those of the answer
 * before.
 *
 * A source drafts findings in any order and reports them all; what did not change since the last
 * report stays the very same `struct found`, so that whoever holds the old list sees by the pointer
 * alone what is new. On the control thread. */
#pragma once

#include "base/arena.h"
#include "base/status.h"
#include "run/address.h"

#define FOUND_MAX        100000 /* endpoints of one source */
#define FOUND_LABELS_MAX 64     /* of one endpoint; further ones are left out */
#define FOUND_WEIGHT_MAX 1000

struct found_label {
    struct slice key, value;
};

/* One endpoint. */
struct finding {
    struct address address;
    struct slice name; /* what its certificate is for; empty: its address */
    uint32_t weight;   /* 0: no share of its own */
    uint32_t tier;
    struct slice zone;          /* "a", "eu-west/a"; empty: not known */
    struct found_label *labels; /* borrowed until the report */
    size_t label_count;
    struct slice trouble; /* why it is to get no requests, in words; empty: it is well */
};

/* What a source gathers for its report; all in the arena. */
struct findings {
    struct arena *arena; /* borrowed */
    struct finding *items;
    size_t count, capacity;
};

/* NO_MEMORY, or FULL at FOUND_MAX. What the finding's slices are borrowed from outlives the report.
 */
enum status findings_add(struct findings *findings, const struct finding *finding);

/* The same for an address and a port as text; INVALID when it is none. */
enum status findings_add_ip(
    struct findings *findings, struct finding finding, struct slice ip, uint64_t port);

/* The same for a host, which may be a name: then at all of its addresses, known as that name unless
 * the finding has one. One without an address is left out, and so are all names when the resolver
 * is NULL. NO_MEMORY, FULL, CANCELLED. */
struct resolver;
enum status findings_add_host(struct findings *findings, struct finding finding,
    struct resolver *resolver, struct slice host, int64_t port);

/* What was found, for whoever uses it: does not change, counted. */
struct found {
    uint32_t users;
    struct slice text; /* owned, as all that the finding points to: the address as people
                          write it */
    struct finding finding;
};

void found_ref(struct found *found);
void found_unref(struct found *found);

/* In the order of their texts, each once. */
struct found_list {
    struct found **items; /* owned array, counted items */
    size_t count;
    size_t well; /* of them: those without trouble */
};

/* The newer list: what is as it was is taken from `old`. `*ret_changes` is how many came, went, or
 * differ. NO_MEMORY. */
enum status found_list_make(const struct found_list *old, const struct findings *findings,
    struct found_list *ret_list, size_t *ret_changes);
void found_list_release(struct found_list *list);
