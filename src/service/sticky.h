/* Sticky sessions: which endpoint a request's session is at.
 *
 * By a cookie of our own nothing is remembered here: the cookie holds the endpoint's id and a
 * signature (HMAC-SHA-256 under the service's secret, cut to 128 bits), so that nobody can choose
 * an endpoint by making one up. Each endpoint has one such text, which is made with the set of
 * endpoints; a request's is compared with it. By any other key the session is in a table
 * (balance/sticky_table.h), which all workers share and reloads keep. */
#pragma once

#include "config/option.h"
#include "http/exchange.h"
#include "service/service_options.h"

struct service_plane;
struct sticky_table;

#define STICKY_COOKIE_SIZE 32 /* characters */

struct sticky {
    const struct sticky_options *options; /* borrowed from the snapshot */
    struct sticky_table *table;           /* shared, counted by the registry; NULL: by cookie */
    uint32_t kept_series, new_series, moved_series, ended_series;
};

/* On the control thread; kept in the snapshot's arena. */
enum status sticky_prepare(struct service_plane *plane, struct reader *reader, struct slice service,
    const struct sticky_options *options, struct sticky **ret_sticky);

/* The key under which a session's text is in the table; not 0. */
uint64_t sticky_key(const struct service_plane *plane, struct slice text);

/* The cookie of an endpoint. */
void sticky_sign(const struct service_plane *plane, const struct sticky_options *options,
    struct slice service, uint64_t id, char ret_text[STICKY_COOKIE_SIZE]);

/* The id that a cookie claims; 0: it is none of ours. */
uint64_t sticky_claimed(struct slice cookie);

/* Seconds, for the table. */
uint32_t sticky_seconds(instant now);

/* Sets the cookie in the answer; an empty value takes it away. */
void sticky_set_cookie(
    const struct sticky_options *options, struct exchange *x, struct slice value);
