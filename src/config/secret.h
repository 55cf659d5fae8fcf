/* Secrets of the configuration: what an option of the kind OPTION_SECRET says, in one of three
 * ways.
 *
 *     secret: "${JWT_SECRET}"           from the environment, as any text
 *     secret: {file: jwt.secret}        what the file has, without the line's end behind it
 *     secret: for-tests-only            as it is
 *
 * A file is read while the configuration is loaded. The reader (reader->secrets) lists which ones
 * were, so that who runs the gateway can look at them and load the configuration again when one has
 * changed. */
#pragma once

#include "config/option.h"

#define SECRET_SIZE_MAX ((size_t)64 << 10) /* bytes of a file */

/* A file that a secret was read from, in the reader's arena. */
struct secret_file {
    const struct secret_file *next;
    struct slice path; /* ends with a NUL that is not counted */
    uint64_t stamp;    /* of the file as it was read: source_stamp */
};

/* Reads a secret. INVALID after a complaint, which never shows one, and neither does any other of
 * the same line; NO_MEMORY. */
enum status secret_read(struct reader *reader, const struct node *node, struct slice *ret_secret);

/* What all these files are like now, and were like when they were read: the same number as long as
 * nothing has changed. */
uint64_t secret_files_stamp(const struct secret_file *files);
uint64_t secret_files_stamp_read(const struct secret_file *files);
