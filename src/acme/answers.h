/* What the gateway answers to an authority that looks whether a name is ours: the control thread
 * puts answers here while an order is under way, workers look them up.
 *
 * One for the process, outside snapshots. Behind a lock, which only requests below
 * ACME_CHALLENGE_PATH and connections that speak acme-tls/1 ever take. */
#pragma once

#include "base/slice.h"
#include "base/status.h"
#include "run/tls.h"

#define ACME_CHALLENGE_PATH SLICE("/.well-known/acme-challenge/")
#define ACME_ANSWER_MAX     512 /* bytes of a key authorization */

struct acme_answers;

struct acme_answers *acme_answers_new(void); /* NULL: no memory */
void acme_answers_free(struct acme_answers *answers);

/* HTTP-01 (RFC 8555 §8.3): the text to be found under a token. NO_MEMORY. */
enum status acme_answers_put(
    struct acme_answers *answers, struct slice token, struct slice authorization);

/* TLS-ALPN-01 (RFC 8737): the certificate to be shown for a name (lower case); counted here. */
enum status acme_answers_show(
    struct acme_answers *answers, struct slice name, struct tls_identity *identity);

/* What was put or shown under that token or name is forgotten. */
void acme_answers_drop(struct acme_answers *answers, struct slice key);

/* From any thread. The text for a token, its size in `*ret_size`; false: none. */
bool acme_answers_find(struct acme_answers *answers, struct slice token,
    char ret_text[ACME_ANSWER_MAX], size_t *ret_size);

/* From any thread: a tls_challenge (run/tls.h), whose argument is the answers. */
struct tls_identity *acme_answers_identity(void *argument, struct slice name);
