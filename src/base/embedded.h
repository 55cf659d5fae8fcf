/* Files that are part of the program: pages, the example that the demo runs. tools/embed makes C of
 * them while building. */
#pragma once

#include "base/slice.h"

/* The content of the file with that name (without folders: "demo.html"), or the slice with null
 * data. */
struct slice embedded_file(struct slice name);
