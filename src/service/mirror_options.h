/* What a service says about being mirrored: the struct that mirror_table reads into. */
#pragma once

#include "config/option.h"

enum mirror_compare { MIRROR_COMPARE_STATUS, MIRROR_COMPARE_BODY };

struct mirror_options {
    bool is_set;
    struct slice to;
    struct place place; /* of that name */
    double share;
    int64_t body;    /* bytes that a copied request may have */
    int64_t copies;  /* at a time, of each worker */
    int64_t timeout; /* nanoseconds */
    bool unsafe;     /* methods that change something are copied too */
    int compare;     /* enum mirror_compare */
};

extern const struct option_table mirror_table;
