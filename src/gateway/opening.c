#include "gateway/opening.h"

/* Plain connections speak HTTP/1.1. */
static enum protocol choose_protocol(struct connection *connection)
{
    (void)connection;
    return PROTOCOL_HTTP_1;
}

enum status opening_run(struct connection *connection)
{
    connection->protocol = choose_protocol(connection);
    return OK;
}
