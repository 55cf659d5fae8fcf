/* Times that others say: X-Request-Deadline and Retry-After. */
#include "base/must.h"
#include "http/deadline.h"
#include "service/retry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    int64_t milliseconds = 0;
    if (!deadline_parse(text, &milliseconds))
        must(milliseconds >= 0 && milliseconds < INT64_MAX / MILLISECOND);
    int64_t pause = retry_after_parse(text, 784111777 * SECOND);
    must(pause >= 0 && pause <= DAY);
    return 0;
}
