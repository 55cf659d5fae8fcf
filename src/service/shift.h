/* What an operator says about the versions of a service: who gets which share from now on. All
 * workers go by it at once.
 *
 * It holds across reloads and upgrades until the next word of that kind, or until the file gives
 * the versions other shares, or has other versions: the newest word holds, whoever says it. What
 * else changes in the file is of no account. */
#pragma once

#include "service/release_options.h"

struct arena;
struct service;

struct shift_share {
    struct slice version;
    double share; /* 0 to 1 */
};

struct shift_wish {
    struct shift_share shares[VERSIONS_MAX];
    size_t count;
    bool is_reset;    /* the file's shares again, instead */
    struct slice who; /* of at most SHIFT_WHO bytes */
};

#define SHIFT_WHO 80

/* Those who are not named divide the rest as they divided what they had; who had nothing gets
 * nothing, unless nobody else is there: then as the file divides it. A version that the judge took
 * out and that is named is in again. INVALID, NOT_FOUND: `*ret_problem` says why, in the arena. On
 * the control thread. */
enum status service_shift(const struct service *service, const struct shift_wish *wish,
    struct arena *arena, struct slice *ret_problem);
