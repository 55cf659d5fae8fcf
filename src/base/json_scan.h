/* The tokens of JSON: where each ends and whether it is well formed. Part of json_reader. */
#pragma once

#include "base/slice.h"
#include "base/status.h"

struct json_scan {
    enum status result;  /* OK; INCOMPLETE: the text ends within the token; INVALID */
    size_t size;         /* of the token, or up to the fault */
    bool has_escapes;    /* a string with backslashes */
    const char *message; /* for INVALID */
};

/* How many blanks, tabs and line ends `text` begins with. */
size_t json_scan_blanks(struct slice text);

/* `text` begins with the opening quote. */
struct json_scan json_scan_string(struct slice text);

/* `text` begins with a digit or a minus; `is_whole` says that the text's end also ends the number.
 */
struct json_scan json_scan_number(struct slice text, bool is_whole);

/* `text` should begin with `word`. */
struct json_scan json_scan_word(struct slice text, struct slice word);

/* Decodes the piece at `*at` of a string's inside that a scan has accepted: one escape, or bytes as
 * they are up to the next one. The result points into the string or to `decoded`, and `*at` moves
 * on. */
struct slice json_unescape(struct slice inside, size_t *at, char decoded[4]);
