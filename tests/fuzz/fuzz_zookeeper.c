/* What ZooKeeper sends, by the first byte: the length and the message behind it ('m'), a session
 * ('s'), or a node's data ('n'), which is its name too. What is found has an address and bounds. */
#include "base/must.h"
#include "service/jute.h"
#include "service/zookeeper_node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_body(struct slice body)
{
    struct jute_event event;
    struct slice rest, name, value;
    size_t count;
    if (!jute_read_event(body, &event))
        must(event.path.size <= body.size);
    if (!jute_read_data(body, &value))
        must(value.size <= body.size);
    if (jute_read_children(body, &count, &rest))
        return;
    for (size_t i = 0; i < count && !jute_read_child(&rest, &name); i++)
        must(name.size > 0 && name.size + rest.size < body.size);
}

static void read_message(struct slice bytes)
{
    struct jute_answer answer;
    size_t length;
    if (bytes.size < JUTE_LENGTH_SIZE || jute_read_length(bytes.data, &length))
        return;
    must(length <= JUTE_MESSAGE_MAX);
    if (!jute_read_answer(slice_head(slice_from(bytes, JUTE_LENGTH_SIZE), length), &answer))
        read_body(answer.body);
}

static void read_node(struct slice bytes)
{
    const struct zookeeper_reading reading = {.is_secure = bytes.size % 2};
    char room[200];
    struct text trouble = text_fixed(room, sizeof room);
    struct arena arena;
    arena_init(&arena, 0, (size_t)64 << 20);
    struct findings findings = {.arena = &arena};
    enum status e = zookeeper_node_read(&reading, bytes, bytes, &findings, &trouble);
    must(e || findings.count == 1);
    for (size_t i = 0; i < findings.count; i++) {
        must(findings.items[i].address.size && findings.items[i].weight <= FOUND_WEIGHT_MAX);
        must(findings.items[i].label_count <= FOUND_LABELS_MAX);
    }
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t session = 1;
    if (size == 0)
        return 0;
    struct slice bytes = slice_of((const char *)data + 1, size - 1);
    if (data[0] == 'm')
        read_message(bytes);
    else if (data[0] == 's')
        (void)jute_read_hello(bytes, &session);
    else
        read_node(bytes);
    must(session > 0);
    return 0;
}
