/* What is to be done only once: ids in a store, held while what has one is under way, kept when it
 * is done, and free again when it could not be done. For policies that see the same message or
 * nonce come twice.
 *
 *     e = once_begin(&once, x, id, &hold, &verdict);
 *     if (!e && verdict == ONCE_FIRST)
 *         ... do it, then once_keep(&hold) or once_free(&hold) ...
 *
 * Who holds an id and is not heard of any more loses it after ONCE_LEASE. */
#pragma once

#include "policy/policy.h"
#include "store/choice.h"

#define ONCE_LEASE MINUTE
#define ONCE_TIMEOUT \
    (10 * SECOND) /* to wait for a store, each time; its own is shorter as a rule */

struct once_options {
    int64_t remember;   /* nanoseconds; 0: nothing is */
    int store;          /* enum store_place */
    int if_unavailable; /* an index of words */
    struct place store_place;
};

/* Rows of an option table for the struct once_options that is `member` of `type`. */
#define ONCE_STORE_ROW(type, member)                                                          \
    {                                                                                         \
        "store", OPTION_CHOICE, offsetof(type, member.store),                                 \
            .choices = store_place_words, .place_offset = offsetof(type, member.store_place), \
            .fallback = "auto", .help = STORE_PLACE_HELP,                                     \
    }
#define ONCE_UNAVAILABLE_ROW(type, member)                                                         \
    {                                                                                              \
        "if-unavailable", OPTION_CHOICE, offsetof(type, member.if_unavailable),                    \
            .choices = once_unavailable_words, .fallback = "local",                                \
            .help =                                                                                \
                "When the store cannot be asked: `local`, this gateway's memory takes its place; " \
                "`refuse` with 503; `pass` without asking."                                        \
    }
extern const char *const once_unavailable_words[];

struct once {
    const struct once_options *options; /* borrowed */
    struct slice name;                  /* whose ids they are; borrowed */
    struct store *store, *local;        /* borrowed; NULL: nothing is remembered */
};

/* INVALID after a complaint: the store that was chosen is not there. */
enum status once_prepare(
    struct prepare *prepare, const struct once_options *options, struct once *ret_once);

struct once_hold {
    const struct once *once;
    const struct exchange *x;
    struct store *store; /* NULL: there is nothing to keep or to free */
    struct slice key, token;
};

enum once_verdict { ONCE_FIRST, ONCE_RUNNING, ONCE_DONE };

/* Any bytes may be an id. STORE_UNAVAILABLE, as the options say; CANCELLED, NO_MEMORY. */
enum status once_begin(const struct once *once, struct exchange *x, struct slice id,
    struct once_hold *ret_hold, enum once_verdict *ret_verdict);

/* The same for what is done by being seen (a nonce): there is nothing to keep or to free. */
enum status once_see(
    const struct once *once, struct exchange *x, struct slice id, enum once_verdict *ret_verdict);

/* It was done, and is known to be for as long as the options say; or it was not, and may be tried
 * again. Also on a fiber that was cancelled. */
void once_keep(const struct once_hold *hold);
void once_free(const struct once_hold *hold);
