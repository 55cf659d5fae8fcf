/* What is read of TLS here and not by OpenSSL: names and protocols in a ClientHello, and records.
 * The first byte says which. */
#include <stdlib.h>

#include "base/must.h"
#include "run/tls_core.h"

/* Whatever is opened must be what was sealed: bytes that somebody made up are never genuine. */
static void open_foreign(struct slice bytes)
{
    char secret[32] = "not a secret, but as long as one";
    struct record_suite *suites = record_suites_new();
    struct record_half half;
    enum record_type type;
    size_t size, plain;
    char *out = malloc(RECORD_SEALED_MAX);
    must(out && suites &&
         record_half_init(&half, suites, 0x1301, slice_of(secret, 32), 0, false) == OK);
    while (record_measure(bytes, &size) == OK && size <= bytes.size) {
        must(record_open(&half, slice_head(bytes, size), out, &plain, &type) != OK);
        bytes = slice_from(bytes, size);
    }
    record_half_release(&half);
    record_suites_free(suites);
    free(out);
}

static void seal_and_open(struct slice bytes)
{
    char secret[32] = "not a secret, but as long as one";
    struct record_suite *suites = record_suites_new();
    struct record_half seals, opens;
    enum record_type type;
    size_t plain;
    char *out = malloc(RECORD_PLAIN_MAX + RECORD_EXTRA);
    if (bytes.size > RECORD_PLAIN_MAX)
        bytes.size = RECORD_PLAIN_MAX;
    size_t half_size = bytes.size / 2;
    must(out && suites &&
         record_half_init(&seals, suites, 0x1303, slice_of(secret, 32), 7, true) == OK);
    must(record_half_init(&opens, suites, 0x1303, slice_of(secret, 32), 7, false) == OK);
    must(record_seal_begin(&seals, bytes.size, out));
    must(
        !half_size || record_seal_piece(&seals, slice_head(bytes, half_size), out + RECORD_HEADER));
    must(bytes.size == half_size ||
         record_seal_piece(&seals, slice_from(bytes, half_size), out + RECORD_HEADER + half_size));
    size_t size = record_seal_end(&seals, bytes.size, RECORD_DATA, out);
    must(size == bytes.size + RECORD_EXTRA);
    must(record_open(&opens, slice_of(out, size), out + RECORD_HEADER, &plain, &type) == OK);
    must(type == RECORD_DATA && slice_equal(slice_of(out + RECORD_HEADER, plain), bytes));
    record_half_release(&seals);
    record_half_release(&opens);
    record_suites_free(suites);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[TLS_NAME_MAX + 1];
    if (size == 0)
        return 0;
    struct slice rest = slice_of((const char *)data + 1, size - 1);
    switch (data[0] & 3) {
    case 0:
        tls_read_name(rest, name);
        must(strlen(name) <= TLS_NAME_MAX);
        break;
    case 1:
        (void)tls_asks_only_for(rest, SLICE("acme-tls/1"));
        break;
    case 2:
        open_foreign(rest);
        break;
    default:
        seal_and_open(rest);
    }
    return 0;
}
