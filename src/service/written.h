/* What a file says of a service, option by option on one line each, as people are shown it in
 * `weir status` and `weir explain`. What must not be seen (secrets, fields of requests, values of
 * the environment) is shown as "…". */
#pragma once

#include "config/option.h"

struct written_option {
    struct slice name, text;
};

struct written {
    const struct written_option *items; /* in the arena, in the order of the file */
    size_t count;
};

/* Of a service's map: all but where its endpoints are and what its versions are, which is shown
 * elsewhere, and options of sources. NO_MEMORY. */
enum status written_keep(
    struct arena *arena, const struct node *service, struct written *ret_written);

/* "health: GET /healthz every 5s; queue: 100 for 2s"; nothing when nothing is written. */
void written_print(const struct written *written, struct text *text);

/* The same as a JSON object. */
struct json_writer;
void written_describe(const struct written *written, struct json_writer *writer);
