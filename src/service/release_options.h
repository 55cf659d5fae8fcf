/* What a service says about releases: its versions, who stays with which, and, of a version, its
 * share of the requests. Part of struct service_options. */
#pragma once

#include "config/expression.h"
#include "service/judge_options.h"

struct service_options;

#define VERSIONS_MAX 16 /* of a service */

/* How a user is known, who is to stay with a version. */
struct stay_options {
    struct expression *by; /* NULL: by the cookie alone */
    struct slice cookie;   /* its name; empty: none is set */
    int64_t time;          /* nanoseconds that the cookie lives */
    bool is_off;           /* each request is drawn for itself */
};

struct version_options {
    struct slice name;  /* "v2" */
    struct place place; /* of the name */
    double share;       /* of 1, with what is left over for those without one */
    bool has_share;     /* the file says it */
    struct service_options *service;
};

struct release_options {
    /* Of a service that has versions. */
    const struct node *written; /* borrowed: the map under `versions`; NULL: there are none */
    struct version_options *versions;
    size_t count;
    struct stay_options stay;
    struct judge_options judge;
    struct place judge_place;
    size_t old; /* of them: whom the judge compares the others with */

    /* Of a version. */
    bool is_version;
    bool has_share;
    double share;
    struct place share_place, when_place;
    struct expression *when; /* a condition, or NULL */
};

extern const struct option_table stay_table;

/* Reads `versions` itself: keeps the node until the whole service is known. */
enum status versions_keep(struct reader *reader, const struct node *node, void *ret_value);

/* Reads the versions of the service that `node` is, each with what stands beside `versions` as its
 * defaults, and shares the rest out. Complains through the reader. */
enum status versions_read(
    struct reader *reader, const struct node *node, struct service_options *options);

/* Complains when a service that is no version says what only a version may say. */
enum status version_check(struct reader *reader, const struct service_options *options);
