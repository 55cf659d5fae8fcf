/* TLS to a service: its options, and the tls_client that they make.
 *
 * The client is runtime state, kept in the registry by what it is made of: a reload that changes
 * none of that keeps it, and with it open connections and sessions to resume. */
#pragma once

#include "config/option.h"
#include "run/tls.h"
#include "service/plane.h"
#include "service/service_options.h"

/* What a service has of it while it is in use. */
struct service_tls {
    struct tls_client *client; /* borrowed from the registry's object; NULL: not prepared yet */

    /* Of a service that is asked by HTTP/2: the same, asked by HTTP/1.1 alone. NULL: it is. */
    const struct service_options *http_1;
};

/* The options under `tls`. */
extern const struct option_table service_tls_table;

/* Whether endpoints and options go together; decides whether the service speaks TLS. INVALID after
 * a complaint, NO_MEMORY. */
enum status service_tls_check(
    struct reader *reader, const struct node *node, struct service_options *options);

/* Reads the files and makes the client, if the service speaks TLS. OK also after complaints about
 * the files; there is no client then. */
enum status service_tls_prepare(
    struct service_plane *plane, struct reader *reader, const struct service_options *options);

/* The client that options say, for who is no service; it lives as long as the reader's arena.
 * INVALID after a complaint, NO_MEMORY. */
enum status service_tls_client_obtain(struct service_plane *plane, struct reader *reader,
    const struct service_tls_options *options, struct tls_client **ret_client);

/* What the certificate of an endpoint must be for: a text in the options, its name, or its address
 * written into `room` (ADDRESS_TEXT_MAX); empty when the service speaks no TLS. */
struct slice service_tls_name(const struct service_options *options, struct slice name,
    const struct address *address, char *room);

/* The client that speaks to the service's endpoints; NULL when in clear. */
static inline struct tls_client *service_tls_client(const struct service_options *options)
{
    return options->tls.state ? options->tls.state->client : NULL;
}
