/* Answers that go on for as long as it takes, a JSON text a line: how watches tell of changes. */
#pragma once

#include "service/http_source.h"

struct http_lines {
    struct http_source *source;
    struct text text; /* what has come and is not a whole line yet, or was taken */
    size_t taken;
};

void http_lines_init(struct http_lines *lines, struct http_source *source);
void http_lines_release(struct http_lines *lines);

/* The next line that is not empty, as a tree in the arena, and good until the next. END: the answer
 * ended; TIMEOUT: nothing came, which is no complaint; else it complains. */
enum status http_lines_next(
    struct http_lines *lines, struct arena *arena, instant deadline, struct json_value **ret_value);

/* Gives each line to `take` until that fails, the answer ends (END), nothing comes for `silence`
 * nanoseconds (TIMEOUT), the fiber is CANCELLED, or there is something to complain of. */
enum status http_lines_each(struct http_lines *lines, int64_t silence,
    enum status (*take)(void *context, const struct json_value *line), void *context);
