/* Files with endpoints, JSON or YAML by the first byte: what is taken has addresses and bounds. */
#include "base/must.h"
#include "service/instance.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    char room[300];
    struct text trouble = text_fixed(room, sizeof room);
    if (size == 0)
        return 0;
    arena_init(&arena, 0, (size_t)64 << 20);
    struct source source = {SLICE("fuzz"), slice_of((const char *)data + 1, size - 1)};
    struct findings findings = {.arena = &arena};
    enum status e = instance_read_all(&source, data[0] == 'j', "it", &findings, &trouble);
    for (size_t i = 0; !e && i < findings.count; i++)
        must(findings.items[i].address.size && findings.items[i].weight <= FOUND_WEIGHT_MAX);
    arena_release(&arena);
    return 0;
}
