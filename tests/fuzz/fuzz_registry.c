/* Answers of registries, by the first byte: Consul's, Docker's, Eureka's, a key of etcd ('t'), an
 * EndpointSlice of Kubernetes. What is found has an address and bounds. */
#include "base/must.h"
#include "service/registry_answers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum status read_answer(
    char kind, struct http_source *source, const struct json_value *root, struct findings *findings)
{
    char room[200];
    struct text trouble = text_fixed(room, sizeof room);
    switch (kind) {
    case 't':
        return etcd_read(root, findings, &trouble);
    case 'c':
        return consul_read(source, root, findings);
    case 'd':
        return docker_read(source, root, findings);
    case 'e':
        return eureka_read(source, root, findings);
    default:
        return k8s_read(source, root, findings);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const _Alignas(16) char options[REGISTRY_OPTIONS_ROOM];
    struct http_source source = {.options = (const void *)options};
    struct json_value *root;
    struct arena arena;
    if (size == 0)
        return 0;
    arena_init(&arena, 0, (size_t)64 << 20);
    struct findings findings = {.arena = &arena};
    struct slice text = slice_of((const char *)data + 1, size - 1);
    const struct json_limits limits = {.allow_duplicate_keys = true};
    if (!json_parse(&arena, text, &limits, &root, NULL))
        (void)read_answer((char)data[0], &source, root, &findings);
    for (size_t i = 0; i < findings.count; i++) {
        must(findings.items[i].address.size && findings.items[i].weight <= FOUND_WEIGHT_MAX);
        must(findings.items[i].label_count <= FOUND_LABELS_MAX);
    }
    arena_release(&arena);
    return 0;
}
