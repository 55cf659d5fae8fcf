/* Answers of the DNS: whatever is taken has names that are bounded. */
#include "base/must.h"
#include "run/dns_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_srv_answer answer;
    struct arena arena;
    arena_init(&arena, 0, 0);
    if (!dns_read_srv(&arena, slice_of((const char *)data, size), &answer)) {
        must(answer.count <= DNS_RECORDS_MAX && answer.address_count <= DNS_RECORDS_MAX);
        for (size_t i = 0; i < answer.count; i++)
            must(answer.records[i].target.size <= 253);
        for (size_t i = 0; i < answer.address_count; i++)
            must(answer.addresses[i].address.size && answer.addresses[i].name.size <= 253);
    }
    arena_release(&arena);
    return 0;
}
