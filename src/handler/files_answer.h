/* The answer with an open file: which of its variants, whether the client has it already, and which
 * ranges of it. */
#pragma once

#include <sys/stat.h>

#include "handler/files_encoding.h"
#include "http/exchange.h"

/* Compressed twins that may be beside a file, the preferred first. */
struct files_variants {
    enum encoding items[ENCODING_COUNT];
    unsigned count;
};

struct files_found {
    int root;          /* borrowed: the folder that everything is below */
    int fd;            /* the file; files_answer takes it over, whatever it returns */
    struct slice path; /* below the root */
    struct stat stat;
    const struct files_variants *variants; /* borrowed */
};

/* OK: 200, 206 or 304. RANGE_NOT_SATISFIABLE (Content-Range is in the answer's fields),
 * PRECONDITION_FAILED, NO_MEMORY. */
enum status files_answer(struct exchange *x, struct files_found *found, struct slice cache_control);
