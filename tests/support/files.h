/* Files that tests read. Programs run at the project's root. */
#pragma once

#include "base/slice.h"

/* A whole file; freed with free((char *)s.data). Fails the test when it cannot be read. */
struct slice read_test_file(const char *path);
