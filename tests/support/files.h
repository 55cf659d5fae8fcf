/* Files that tests read. Programs run at the project's root. */
#pragma once

#include "base/slice.h"

/* A whole file; freed with free((char *)s.data). Fails the test when it cannot be read. */
struct slice read_test_file(const char *path);

#define TEST_PATH_SIZE 64

/* A new file with this text in a folder for what may go away; the test unlinks it. */
void make_test_file(char ret_path[TEST_PATH_SIZE], const char *text);
