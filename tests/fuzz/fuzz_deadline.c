/* Times that others say: X-Request-Deadline, Retry-After and grpc-timeout. */
#include "base/must.h"
#include "http/deadline.h"
#include "http/grpc.h"
#include "service/retry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is passed on is no longer than what was said. */
static void read_grpc_timeout(struct slice text)
{
    char room[GRPC_TIMEOUT_MAX];
    int64_t time = 0, again = 0;
    if (grpc_timeout_parse(text, &time))
        return;
    must(time >= 0);
    must(grpc_timeout_parse(grpc_timeout_format(time, room), &again) == OK);
    must(again <= (time ? time : 1) && again > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    int64_t milliseconds = 0;
    if (!deadline_parse(text, &milliseconds))
        must(milliseconds >= 0 && milliseconds < INT64_MAX / MILLISECOND);
    read_grpc_timeout(text);
    int64_t pause = retry_after_parse(text, 784111777 * SECOND);
    must(pause >= 0 && pause <= DAY);
    return 0;
}
