/* Random numbers. `random_bytes` is the kernel's, for secrets. `struct random` is a fast generator
 * (xoshiro256++) for choices that nobody gains by predicting; one a worker, no locks. */
#pragma once

#include <stdint.h>
#include <stddef.h>

/* Fills with the kernel's random bytes. */
void random_bytes(void *data, size_t size);

struct random {
    uint64_t state[4];
};

/* Seeds from the kernel. */
void random_init(struct random *random);

uint64_t random_next(struct random *random);

/* Evenly in [0, bound); bound > 0. */
uint64_t random_below(struct random *random, uint64_t bound);

/* How long to wait before what failed so often in a row is tried again: from `least`, twice as long
 * each time up to `most`, and drawn from the upper half of that, so that not all come at once. */
int64_t random_pause(struct random *random, int64_t least, int64_t most, unsigned failures);

/* A UUID version 7 (RFC 9562 §5.7) as 36 bytes of text, no NUL: `wall` is clock_wall(). */
#define UUID_SIZE 36
void random_uuid7(struct random *random, int64_t wall, char text[UUID_SIZE]);
