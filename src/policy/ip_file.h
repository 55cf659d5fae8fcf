/* Files with addresses and networks, one a line:
 *
 *     # the office
 *     192.0.2.0/24     from here on it is a comment
 *     2001:db8::/32
 *
 * Behind an address or network, and before it, only blanks and comments (# or ;) may stand, so that
 * a file of another kind is not taken for a short list. Made anew when the file changes
 * (service/watched_file.h). */
#pragma once

#include "policy/ip_set.h"
#include "service/watched_file.h"

#define IP_FILE_SIZE_MAX ((size_t)64 << 20) /* some two million networks */

extern const struct watched_kind ip_file_kind;

/* What such a text says, in the arena. INVALID, and the line with what is wrong with it; NO_MEMORY.
 */
enum status ip_file_read(struct arena *arena, struct slice text, struct text *trouble,
    const struct ip_set **ret_set, size_t *ret_count);

/* Is the address on the file's list, as it is now? `worker` as for watched_file_hold. */
bool ip_file_has(const struct watched_file *file, unsigned worker, const struct address *address);
