/* A value that a browser is to keep and bring back, over as many cookies as it takes: browsers keep
 * no cookie over 4 KB (RFC 6265 §6.1).
 *
 *     weir=3.AAAA      the number of parts, then the first
 *     weir.1=BBBB      the second
 *     weir.2=CCCC
 *
 * All cookies whose names begin with the name and a dot are the owner's. A browser can bring parts
 * of different times; whoever reads the value has to be able to tell. */
#pragma once

#include "http/fields.h"

#define SPLIT_COOKIE_PARTS_MAX 6
#define SPLIT_COOKIE_PART      3600 /* bytes of a part */
#define SPLIT_COOKIE_MAX       (SPLIT_COOKIE_PARTS_MAX * SPLIT_COOKIE_PART)

struct split_cookie {
    struct slice name;       /* borrowed */
    struct slice attributes; /* borrowed: "; Path=/; HttpOnly; SameSite=Lax" */
};

/* The value, in the arena if it has several parts. NOT_FOUND, INVALID (parts are missing, or it is
 * none of ours), NO_MEMORY. */
enum status split_cookie_value(const struct split_cookie *cookie, const struct fields *request,
    struct arena *arena, struct slice *ret_value);

/* Has the browser keep the value, of characters that cookies may have, for so many seconds; parts
 * that `request` brought and that are no part of it go. TOO_LARGE (nothing is set), NO_MEMORY. */
enum status split_cookie_set(const struct split_cookie *cookie, const struct fields *request,
    struct slice value, int64_t seconds, struct fields *response);

/* Has the browser forget all parts that `request` brought. NO_MEMORY. */
enum status split_cookie_forget(
    const struct split_cookie *cookie, const struct fields *request, struct fields *response);

/* Takes all of the owner's cookies off a request, for whom they are none of his business. In the
 * arena. NO_MEMORY. */
enum status split_cookie_strip(
    const struct split_cookie *cookie, struct fields *request, struct arena *arena);
