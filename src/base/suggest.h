/* "Did you mean …?": of the names that exist, the one most like what was written.
 *
 *     struct suggestion suggestion;
 *     suggest_begin(&suggestion, written);
 *     for each name: suggest_offer(&suggestion, name);
 *     if (suggestion.best.size) ...
 *
 * Likeness is the number of letters to insert, drop, change or swap with a neighbour (Damerau and
 * Levenshtein, each place edited once); case does not count. One edit is allowed for every three
 * letters written, and one for two; what is farther off is not suggested at all, since a bad guess
 * is worse than none. */
#pragma once

#include "base/slice.h"

/* Longer names are neither corrected nor suggested. */
#define SUGGEST_SIZE_MAX 64

struct suggestion {
    struct slice written; /* borrowed */
    struct slice best;    /* borrowed: one of those offered, or empty */
    size_t distance;      /* of `best`; before there is one, the least that is too far */
};

void suggest_begin(struct suggestion *suggestion, struct slice written);

/* `name` stays until the best has been used. Of equally good ones the first offered wins. */
void suggest_offer(struct suggestion *suggestion, struct slice name);

/* The best of an array of names, or the empty slice. */
struct slice suggest_among(struct slice written, const struct slice *names, size_t count);
