/* Paths, queries and authorities (RFC 3986), made one way before anybody looks at them. */
#pragma once

#include "base/arena.h"
#include "base/status.h"

enum encoded_slash { ENCODED_SLASH_REFUSE, ENCODED_SLASH_KEEP, ENCODED_SLASH_DECODE };

/* Normalises a path: %XX of unreserved characters decoded, other %XX in upper-case hexadecimal,
 * visible characters that may not stand in a path (like "|") encoded, dot segments resolved (also
 * when written as %2E), empty segments kept.
 *
 * BAD_PATH for: malformed %, control bytes (also encoded), bytes outside ASCII, a backslash (also
 * encoded), "?", "#", ".." above the root, %2F when refused, and for what some servers take for a
 * dot segment and others do not: "..;x", and ".." next to a %2F that is kept. NO_MEMORY. A path
 * that is normal already is returned as it is, without a copy; normalising twice changes nothing.
 */
enum status uri_normalise_path(
    struct arena *arena, struct slice path, enum encoded_slash slashes, struct slice *ret_path);

/* "host", "host:port", "[::1]:port" into a lower-case host (brackets off, IPv6 in its usual form)
 * and a port (0: none). BAD_HOST otherwise: also for user information, an empty port, port 0, empty
 * labels, and for what RFC 3986 allows in names but no host name has: percent-encoding and
 * "!$&'()*+,;=". NO_MEMORY. */
enum status uri_parse_authority(
    struct arena *arena, struct slice authority, struct slice *ret_host, uint16_t *ret_port);

/* Walks "a=1&b=2": raw (still encoded) names and values. */
bool uri_query_next(struct slice *rest, struct slice *ret_name, struct slice *ret_value);

/* The first parameter of that name, decoded ("+" is a blank); null data when there is none. */
struct slice uri_query_value(struct arena *arena, struct slice query, struct slice name);

/* The query without the parameters of that name, in the arena if there are any; empty, with null
 * data, when nothing else is left. NO_MEMORY. */
enum status uri_query_without(
    struct arena *arena, struct slice query, struct slice name, struct slice *ret_query);

/* Decodes %XX (and "+" if `plus`); INVALID for malformed ones. Without any, no copy. */
enum status uri_decode(struct arena *arena, struct slice s, bool plus, struct slice *ret_decoded);

/* Encodes the bytes that `stays` does not let stand; null data without memory. */
struct slice uri_escape(struct arena *arena, struct slice s, bool (*stays)(char c));

/* Encodes everything but unreserved characters. */
struct slice uri_encode(struct arena *arena, struct slice s);
