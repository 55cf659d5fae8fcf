/* Instances: endpoints as files and those who register themselves describe them, in YAML or JSON:
 *
 *     [10.0.0.1:8080, {address: "10.0.0.2:8080", weight: 2, zone: a, labels: {version: v2}}]
 *
 * Whatever is read comes from strangers: no environment, no names, no sources within. */
#pragma once

#include "config/option.h"
#include "service/found.h"

struct instance_options {
    struct address address;
    struct slice name; /* what its certificate is for; empty: its address */
    int64_t weight, tier;
    struct slice zone;
    struct option_map labels; /* of struct slice */
    int state;                /* an index of instance_states */
};

extern const char *const instance_states[]; /* "up", "drain", "down" */

extern const struct option_table instance_table;

/* The same with a lease, as who registers says it: a struct that begins with the above and has an
 * int64_t `lease`, nanoseconds, behind. */
extern const struct option_table registration_table;

/* Adds it; `arena` is for what the finding needs. NO_MEMORY, FULL. */
enum status instance_find(
    struct findings *findings, const struct instance_options *instance, const char *said_by);

/* A tree of what JSON says, so that option tables read it as they read YAML. Places are those in
 * `source`, whose text it is. INVALID, with what is wrong in `trouble`; NO_MEMORY. */
enum status instance_json_tree(
    struct arena *arena, const struct source *source, struct text *trouble, struct node **ret_root);

/* The endpoints of a file: a list, or a map with a list under `endpoints`. `said_by` as above.
 * INVALID, with what is wrong and where in `trouble`; NO_MEMORY, FULL, TOO_LARGE. */
enum status instance_read_all(const struct source *source, bool is_json, const char *said_by,
    struct findings *findings, struct text *trouble);

/* One endpoint, in JSON. As above. */
enum status instance_read_one(const struct source *source, const char *said_by,
    struct findings *findings, struct text *trouble);

/* The newest complaint: "line 3, column 5: …". */
void instance_word(const struct diagnostics *diagnostics, struct text *trouble);
