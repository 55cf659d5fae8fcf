/* What a service with versions says about the judge (judge.h). Part of struct release_options. */
#pragma once

#include "config/option.h"

struct judge_options {
    bool is_set;
    double errors;  /* by how much more of the requests may fail, of 1; 0: not looked at */
    double p99;     /* by how much slower the 99th percentile may be, of 1; 0: the same */
    int64_t least;  /* nanoseconds: a smaller difference of it is none */
    int64_t volume; /* requests of either version in the window without which nothing is said */
    int64_t time;   /* nanoseconds: how far back results count */
    struct slice against; /* the old version; empty: the one that has the rest */
    struct place place;   /* of `against` */
};

extern const struct option_table judge_table;
