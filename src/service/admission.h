/* Admission control: a service that fails too much gets fewer requests, and of those that are kept
 * from it, the ones that matter least come first. Free of I/O; shared by workers as relaxed
 * atomics.
 *
 * Of the requests that passed within a window, so many may fail as `success` leaves. When more do,
 * a part is shed that grows with what is missing:
 *
 *     P = (max(0, all − good / success) / (all + 1)) ^ (1 / aggression),  at most `most`
 *
 * P is the part of all that come. It is taken from the lowest importance first, then from the next,
 * of each at most `most`, so that something always passes and tells how the service does. */
#pragma once

#include "service/window.h"

#define ADMISSION_RANKS 8 /* the first matters most */

struct admission_options {
    bool is_set;
    double success;    /* the part that must be good */
    int64_t window;    /* nanoseconds */
    double aggression; /* 1: in proportion; more: sooner */
    double most;       /* of an importance's requests */
    int64_t volume;    /* requests in the window without which nothing is shed */
};

struct admission {
    struct window good;                  /* of those that passed: the hits were good */
    struct window come[ADMISSION_RANKS]; /* all that came, by rank; the hits were shed */
};

/* The part of all that is to be shed now. */
double admission_pressure(
    const struct admission *admission, const struct admission_options *options, instant now);

/* The part of those of a rank that is. */
double admission_share(const struct admission *admission, const struct admission_options *options,
    unsigned rank, instant now);

/* True when one of that rank may pass; counts it. `draw`: a random number. */
bool admission_passes(struct admission *admission, const struct admission_options *options,
    unsigned rank, instant now, uint64_t draw);

/* One that had passed was answered, well or not. */
void admission_learn(struct admission *admission, const struct admission_options *options,
    instant now, bool is_good);
