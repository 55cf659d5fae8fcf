/* A folder's content as a small page. */
#pragma once

#include "base/arena.h"
#include "base/status.h"

#define FILES_LIST_MAX 10000 /* further entries are left out, and the page says so */

/* Writes HTML into the arena. `folder` is an open folder, `path` what the page calls it, decoded.
 * NOT_FOUND when it cannot be read. */
enum status files_list(
    struct arena *arena, int folder, struct slice path, bool shows_hidden, struct slice *ret_html);
