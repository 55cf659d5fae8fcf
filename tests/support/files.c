#include "support/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/unit.h"

struct slice read_test_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    /* Exactly as large as the file, so that AddressSanitizer sees one byte too far. */
    char *data = malloc(size ? (size_t)size : 1);
    if (!data || size < 0 || fread(data, 1, (size_t)size, file) != (size_t)size)
        fail_msg("cannot read %s", path);
    fclose(file);
    return slice_of(data, (size_t)size);
}

void make_test_file(char ret_path[TEST_PATH_SIZE], const char *text)
{
    snprintf(ret_path, TEST_PATH_SIZE, "/tmp/weir-test-XXXXXX");
    int descriptor = mkstemp(ret_path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, text, strlen(text)), strlen(text));
    assert_int_equal(close(descriptor), 0);
}
