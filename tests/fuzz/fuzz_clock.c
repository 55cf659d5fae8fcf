/* Reads any bytes as an HTTP date. What is accepted is written and read again, to the same second.
 */
#include "base/clock.h"
#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t seconds, again;
    char text[HTTP_DATE_SIZE];
    if (!clock_parse_http_date(slice_of((const char *)data, size), &seconds) || seconds < 0)
        return 0;
    clock_http_date(seconds, text);
    bool is_written = clock_parse_http_date(slice_of(text, sizeof text), &again);
    /* A leap second at the end of the year 9999 is the one instant that no date can hold. */
    must(is_written && (again == seconds || seconds == INT64_C(253402300800)));
    return 0;
}
