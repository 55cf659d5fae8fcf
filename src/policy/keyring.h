/* Keyrings: the public keys of an issuer of tokens, fetched from it and kept fresh.
 *
 *     e = keyring_obtain(prepare, &options, &ring);           once a snapshot
 *     ... jws_read(&x->arena, token, &jws) ...
 *     e = keyring_verify(ring, x, &jws);                      on a worker's fiber
 *
 * A keyring is runtime state: reloads that change nothing about where it comes from keep it, with
 * its keys. An errand on the control thread fetches them (keyring_fetch.h) as often as the issuer's
 * Cache-Control or the options say. While the issuer cannot be asked, or says nonsense, the keys
 * that there are stay.
 *
 * Workers. The newest keys lie behind a mutex, which is held for counting them once more, and taken
 * for new tokens only: who remembers a token asks `keyring_epoch` whether a key has been taken away
 * since, which is one relaxed load.
 *
 * A token whose key is not there may be signed with a newer one: its request waits while the keys
 * are fetched once more, if that has not just been done. However many such tokens come, there is
 * one fetch at a time, and none before `cooldown` has passed since the last. */
#pragma once

#include "jose/jws.h"
#include "policy/oidc_provider.h"
#include "policy/policy.h"

#define KEYRING_KIND "keyring" /* in the registry */

struct json_writer;
struct keyring;

struct keyring_options {
    struct slice issuer; /* found by discovery; empty when `keys` is not */
    struct slice keys;   /* URL of a JWK Set; or empty */
    struct slice ca;     /* file of whom to trust; empty: the system's authorities */
    struct place place, ca_place;
    int64_t refresh;  /* nanoseconds between fetches; 0: as the issuer says */
    int64_t patience; /* nanoseconds that a request waits for keys at most */
    int64_t cooldown; /* nanoseconds between fetches at least */
};

/* Rows of an option table for what can be chosen of it, in a struct that has it as `member`. */
#define KEYRING_ROWS(type, member)                                                                \
    {"refresh", OPTION_DURATION, offsetof(type, member.refresh), .fallback = "0s", .minimum = 0,  \
        .maximum = 30 * DAY,                                                                      \
        .help = "How often keys from a URL are fetched anew; 0s: as their Cache-Control says, "   \
                "from once a minute to once a day, or every 10 minutes."},                        \
        {"patience", OPTION_DURATION, offsetof(type, member.patience), .fallback = "2s",          \
            .minimum = MILLISECOND, .maximum = MINUTE,                                            \
            .help = "How long a request waits at most for keys that are being fetched."},         \
        {"cooldown", OPTION_DURATION, offsetof(type, member.cooldown), .fallback = "10s",         \
            .minimum = 10 * MILLISECOND, .maximum = HOUR,                                         \
            .help = "How long after a fetch a token with an unknown key causes no other one."},   \
    {                                                                                             \
        "ca", OPTION_TEXT, offsetof(type, member.ca),                                             \
            .place_offset = offsetof(type, member.ca_place),                                      \
            .help = "The file (PEM) of the authorities that the certificate of the keys' server " \
                    "may come from. By default the system's."                                     \
    }

/* Does the text say where keys can be fetched, and is no file's name? */
bool keyring_is_url(struct slice text);

/* The keyring of those options, for as long as the snapshot; it begins to be filled. On the control
 * thread. INVALID after a complaint, NO_MEMORY. */
enum status keyring_obtain(
    struct prepare *prepare, const struct keyring_options *options, struct keyring **ret_ring);

/* Verifies with the newest keys, and waits for newer ones where they may help. As jws_verify, and:
 * KEYS_UNAVAILABLE when there have never been any, CANCELLED. On a worker's fiber; in a rehearsal
 * it does not wait. */
enum status keyring_verify(
    struct keyring *ring, struct exchange *x, const struct jws *jws, int64_t patience);

/* Moves whenever a key was taken away: what was verified before is to be verified again. Any
 * thread. */
uint32_t keyring_epoch(const struct keyring *ring);

/* What the provider says of itself, of a keyring by discovery, copied into the arena; waits for
 * it as above. KEYS_UNAVAILABLE, CANCELLED, NO_MEMORY. */
enum status keyring_provider(struct keyring *ring, const struct exchange *x, int64_t patience,
    struct arena *arena, struct oidc_provider *ret_provider);

/* How its issuer is spoken to, for whatever else there is to ask it; borrowed. NULL: not by TLS. */
struct tls_client;
struct tls_client *keyring_tls(const struct keyring *ring);

/* For `weir status` (registry_view.h): where it comes from, the names of its keys, when they were
 * fetched, and the trouble of the last fetch. */
void keyring_describe(const void *keyring, struct json_writer *writer);
