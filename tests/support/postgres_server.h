/* A real PostgreSQL server for tests, on a unix socket in a folder of its own. It refuses to run as
 * root, and so runs as nobody then. */
#pragma once

#include <sys/types.h>

#define POSTGRES_FOLDER_MAX 64

struct postgres_server {
    pid_t process;
    char folder[POSTGRES_FOLDER_MAX]; /* of its socket and its data */
};

/* NULL when PostgreSQL is not installed. */
struct postgres_server *postgres_server_new(void);
void postgres_server_free(struct postgres_server *server);
