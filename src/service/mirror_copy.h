/* A copy of a request on its way: an exchange of its own, which has nothing of the original's. */
#pragma once

#include "service/service_state.h"

struct request_copy {
    struct exchange x;
    struct body_slice body;
    const struct service *to; /* part of the configuration that is held meanwhile */
    bool is_hashed;
    int status; /* of the answer; 0: there was none */
    int64_t took;
    bool is_whole;
    uint64_t hash;
    /* The answer is here, or will not come; the copy is gone afterwards. */
    void (*done)(void *argument, const struct request_copy *copy);
    void *argument;
};

/* Copies the head of x->request, and `body`, for a service. NULL: no memory. */
struct request_copy *request_copy_new(
    struct exchange *x, const struct service *to, struct slice from, struct slice body);
void request_copy_free(struct request_copy *copy);

/* Starts it on a fiber of the worker's, and owns it from then on. NO_MEMORY, or CANCELLED when the
 * worker ends: then it is still the caller's. */
enum status request_copy_start(struct request_copy *copy);
