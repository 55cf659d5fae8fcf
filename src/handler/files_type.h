/* Media types by a file name's extension; the table is files_type.def. */
#pragma once

#include "base/slice.h"

/* "text/html; charset=utf-8"; application/octet-stream for extensions that are not in the table.
 * Case does not matter. */
struct slice files_type_of(struct slice name);
