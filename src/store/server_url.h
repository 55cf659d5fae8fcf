/* How a server is written in the file that stores are kept on: "10.0.0.5:6379", "[::1]",
 * "shop.internal", "unix:/run/x.sock", or as a URL, "redis://user:password@host:port/rest". */
#pragma once

#include "config/option.h"
#include "service/service_options.h"

/* The parts of a URL; what it does not say is empty. */
struct server_url {
    unsigned scheme; /* an index of those that there are */
    bool has_scheme;
    struct slice user, password; /* decoded */
    struct slice server;         /* "host:port" */
    struct slice rest;           /* behind the slash */
};

/* `schemes` ends with one of null data: "redis://". INVALID with a static text that says what is
 * wrong and holds no secret; NO_MEMORY. */
enum status server_url_parse(struct arena *arena, struct slice text, const struct slice *schemes,
    struct server_url *ret_url, const char **ret_problem);

/* No complaint shows what may hold a password. NO_MEMORY. */
enum status server_url_hide(struct reader *reader, struct slice text, struct place place);

/* Which port a server has that does not say it, and how one is written, for people. */
struct server_form {
    struct slice port; /* ":6379" */
    const char *problem;
};

/* Host and port, or a path. Statuses as above. */
enum status server_place_read(struct arena *arena, struct slice text,
    const struct server_form *form, struct endpoint_place *ret_place, const char **ret_problem);
