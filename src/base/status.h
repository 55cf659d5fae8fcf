/* Outcomes: one enum for the whole program.
 *
 * A function that can fail returns `enum status`; what it yields comes through `ret_` parameters,
 * which are untouched on failure. `OK` is zero, so `if (e)` reads "if it failed".
 * To add one: a line in status.def. */
#pragma once

enum status {
#define STATUS(name, word, http, proxy, sentence) name,
#include "base/status.def"
#undef STATUS
    STATUS_COUNT
};

/* The word by which logs, metrics and answers call it ("upstream-timeout"). */
const char *status_word(enum status e);

/* A sentence for people. */
const char *status_sentence(enum status e);

/* The HTTP status of the gateway's own answer, or 0 when it has none. */
int status_http(enum status e);

/* The Proxy-Status error type (RFC 9209 §2.3), or "" when there is none. */
const char *status_proxy_error(enum status e);
