/* A keyring inside, for the parts that it is made of: its life and what workers ask it (keyring.c),
 * and the errand on the control thread that keeps it fresh (keyring_renew.c). */
#pragma once

#include <pthread.h>

#include "policy/keyring.h"
#include "policy/keyring_bench.h"

struct errand;
struct tls_client;

#define KEYRING_TROUBLE_SIZE 200

struct keyring {
    struct service_plane *plane; /* borrowed; NULL: nothing is ever fetched */
    struct keyring_bench *bench; /* counted */
    _Atomic uint32_t epoch;
    _Atomic instant may_ask; /* when a token may cause a fetch again */
    _Atomic bool is_asked;   /* the message is on its way */
    struct message question; /* from a worker, to fetch */

    pthread_mutex_t mutex;
    struct jose_keys *keys;        /* guarded, counted; NULL: there never were any */
    struct arena provider_arena;   /* guarded, as the next */
    struct oidc_provider provider; /* of a keyring by discovery, once there are keys */

    /* Of the control thread alone. */
    struct slice issuer, url, source; /* owned by `arena`; `source` is how people call it */
    struct arena arena;
    struct tls_client *tls; /* counted */
    int64_t refresh, cooldown;
    struct errand *errand;
    struct fiber *fiber; /* the errand's, once it runs */
    bool is_resting;
    unsigned failures;                  /* in a row */
    char trouble[KEYRING_TROUBLE_SIZE]; /* that was told last */
    int64_t fetched_at;                 /* wall-clock nanoseconds; 0: never */
    uint32_t fetched, failed, count_series, time_series;
};

/* Begins to fetch, at once and then again and again, until its errand is stopped. The plane is
 * there. On the control thread. */
void keyring_begin(struct keyring *ring);
