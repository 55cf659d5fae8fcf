#include "route/trie.h"

#include "base/hash.h"

#include <stdlib.h>
#include <sys/mman.h>

#define NONE       0
#define LARGE_PAGE ((size_t)2 << 20)

void trie_init(struct trie *trie)
{
    *trie = (struct trie){.node_count = 1, .matcher_count = 1, .leaf_count = 1};
}

void trie_release(struct trie *trie)
{
    free(trie->nodes);
    free(trie->slots);
    free(trie->matchers);
    trie_init(trie);
}

/* Of whole cache lines; what is large gets large pages, since a look-up goes all over it. */
static void *take_lines(size_t size)
{
    size_t alignment = size >= LARGE_PAGE ? LARGE_PAGE : 64;
    size = (size + alignment - 1) & ~(alignment - 1);
    void *memory = aligned_alloc(alignment, size);
    if (memory && alignment == LARGE_PAGE)
        madvise(memory, size, MADV_HUGEPAGE);
    return memory;
}

/* Room for one item more in a growing array. */
static enum status grow(void **items, uint32_t count, uint32_t *capacity, size_t item_size)
{
    if (*items && count < *capacity)
        return OK;
    uint32_t more = *capacity ? *capacity * 2 : 64;
    void *bigger = more > *capacity ? take_lines((size_t)more * item_size) : NULL;
    if (!bigger)
        return NO_MEMORY;
    if (*items)
        memcpy(bigger, *items, (size_t)count * item_size);
    free(*items);
    *items = bigger;
    *capacity = more;
    return OK;
}

static enum status add_node(struct trie *trie, uint32_t parent, uint32_t *ret_node)
{
    enum status e = grow(
        (void **)&trie->nodes, trie->node_count, &trie->node_capacity, sizeof(struct trie_node));
    if (e)
        return e;
    trie->nodes[trie->node_count] = (struct trie_node){.parent = parent};
    *ret_node = trie->node_count++;
    return OK;
}

enum status trie_add_root(struct trie *trie, uint32_t *ret_root)
{
    return add_node(trie, NONE, ret_root);
}

static struct slice text_of(const struct trie_node *node)
{
    return slice_of(node->size <= TRIE_INLINE ? node->inline_text : node->text, node->size);
}

static uint64_t load_64(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static uint64_t load_32(const char *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Of an edge. Segments are short: two overlapping loads and one multiplication take them in. That
 * it can be foreseen does no harm, since who asks for paths adds none. */
static uint64_t hash_edge(uint32_t parent, struct slice text)
{
    uint64_t a = 0, b = 0;
    if (text.size > 16)
        return hash_bytes_seeded(text, parent);
    if (text.size >= 8) {
        a = load_64(text.data);
        b = load_64(text.data + text.size - 8);
    } else if (text.size >= 4) {
        a = load_32(text.data);
        b = load_32(text.data + text.size - 4);
    } else if (text.size > 0) {
        a = (unsigned char)text.data[0];
        b = (uint64_t)(unsigned char)text.data[text.size / 2] << 8 |
            (unsigned char)text.data[text.size - 1];
    }
    uint64_t left = (a ^ 0x9e3779b97f4a7c15) + (uint64_t)parent * 0xd6e8feb86659fd93;
    uint64_t right = (b ^ 0xc2b2ae3d27d4eb4f) + text.size;
    __uint128_t product = (__uint128_t)left * right;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t filter_bit(uint64_t hash)
{
    return 1u << (hash >> 59);
}

static void put_slot(struct trie *trie, uint64_t hash, uint32_t node)
{
    uint32_t mask = trie->slot_count - 1, i = (uint32_t)hash & mask;
    while (trie->slots[i].node != NONE)
        i = (i + 1) & mask;
    trie->slots[i] = (struct trie_slot){(uint32_t)(hash >> 32), node};
}

/* Keeps the table at most half full. */
static enum status make_slot_room(struct trie *trie)
{
    if (trie->slots && trie->edge_count * 2 < trie->slot_count)
        return OK;
    struct trie old = *trie;
    uint32_t count = old.slots ? old.slot_count * 2 : 64;
    struct trie_slot *slots = count ? take_lines(count * sizeof *slots) : NULL;
    if (!slots)
        return NO_MEMORY;
    memset(slots, 0, count * sizeof *slots);
    trie->slots = slots;
    trie->slot_count = count;
    for (uint32_t i = 0; old.slots && i < old.slot_count; i++) {
        struct trie_slot slot = old.slots[i];
        if (slot.node != NONE)
            put_slot(trie, (uint64_t)slot.tag << 32 | trie->nodes[slot.node].hash, slot.node);
    }
    free(old.slots);
    return OK;
}

uint32_t trie_exact_child(const struct trie *trie, uint32_t parent, struct slice segment)
{
    uint64_t hash = hash_edge(parent, segment);
    if (!(trie->nodes[parent].filter & filter_bit(hash)))
        return NONE;
    uint32_t mask = trie->slot_count - 1, tag = (uint32_t)(hash >> 32);
    for (uint32_t i = (uint32_t)hash & mask; trie->slots[i].node != NONE; i = (i + 1) & mask) {
        if (trie->slots[i].tag != tag)
            continue;
        const struct trie_node *node = &trie->nodes[trie->slots[i].node];
        if (node->parent == parent && slice_equal(text_of(node), segment))
            return trie->slots[i].node;
    }
    return NONE;
}

static enum status add_exact(
    struct trie *trie, uint32_t parent, struct slice text, uint32_t *ret_child)
{
    uint32_t child = trie_exact_child(trie, parent, text);
    if (child != NONE) {
        *ret_child = child;
        return OK;
    }
    enum status e = make_slot_room(trie);
    if (!e)
        e = add_node(trie, parent, &child);
    if (e)
        return e;
    struct trie_node *node = &trie->nodes[child];
    uint64_t hash = hash_edge(parent, text);
    trie->nodes[parent].filter |= filter_bit(hash);
    node->size = (uint32_t)text.size & 0x7fffffff;
    node->is_exact = 1;
    node->hash = (uint32_t)hash;
    if (text.size > TRIE_INLINE)
        node->text = text.data;
    else if (text.size > 0)
        memcpy(node->inline_text, text.data, text.size);
    put_slot(trie, hash, child);
    trie->edge_count++;
    *ret_child = child;
    return OK;
}

static enum status add_any(struct trie *trie, uint32_t parent, uint32_t *ret_child)
{
    uint32_t child = trie->nodes[parent].any;
    enum status e = child == NONE ? add_node(trie, parent, &child) : OK;
    if (e)
        return e;
    trie->nodes[parent].any = child;
    *ret_child = child;
    return OK;
}

/* Into the list at its place by specificity. */
static enum status add_matcher(
    struct trie *trie, uint32_t parent, const struct segment *segment, uint32_t *ret_child)
{
    uint32_t before = NONE, after = trie->nodes[parent].matchers;
    while (after != NONE) {
        int order = segment_compare(trie->matchers[after].segment, segment);
        if (order == 0) {
            *ret_child = trie->matchers[after].child;
            return OK;
        }
        if (order > 0)
            break;
        before = after;
        after = trie->matchers[after].next;
    }
    uint32_t child;
    enum status e = grow((void **)&trie->matchers, trie->matcher_count, &trie->matcher_capacity,
        sizeof(struct trie_matcher));
    if (!e)
        e = add_node(trie, parent, &child);
    if (e)
        return e;
    uint32_t matcher = trie->matcher_count++;
    trie->matchers[matcher] = (struct trie_matcher){segment, child, after};
    if (before == NONE)
        trie->nodes[parent].matchers = matcher;
    else
        trie->matchers[before].next = matcher;
    *ret_child = child;
    return OK;
}

static enum status add_segment(
    struct trie *trie, uint32_t parent, const struct segment *segment, uint32_t *ret_child)
{
    switch (segment->kind) {
    case SEGMENT_EXACT:
        return add_exact(trie, parent, segment->prefix, ret_child);
    case SEGMENT_ANY:
        return add_any(trie, parent, ret_child);
    case SEGMENT_REST:
        *ret_child = parent;
        return OK;
    case SEGMENT_MIXED:
    case SEGMENT_INT:
    case SEGMENT_REGEX:
        break;
    }
    return add_matcher(trie, parent, segment, ret_child);
}

enum status trie_add(
    struct trie *trie, uint32_t root, const struct path_pattern *path, uint32_t *ret_leaf)
{
    uint32_t node = root;
    for (unsigned i = 0; i < path->count; i++) {
        enum status e = add_segment(trie, node, &path->segments[i], &node);
        if (e)
            return e;
    }
    bool is_rest = path->segments[path->count - 1].kind == SEGMENT_REST;
    uint32_t *leaf = is_rest ? &trie->nodes[node].rest : &trie->nodes[node].end;
    if (*leaf == NONE)
        *leaf = trie->leaf_count++;
    *ret_leaf = *leaf;
    return OK;
}

void trie_renumber_leaves(struct trie *trie, const uint32_t *numbers)
{
    for (uint32_t i = 1; i < trie->node_count; i++) {
        trie->nodes[i].end = numbers[trie->nodes[i].end];
        trie->nodes[i].rest = numbers[trie->nodes[i].rest];
    }
}

static uint32_t saturating_add(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

/* Children have greater numbers than their parents: one walk from the back sums everything. Of a
 * node's exact children a path can enter one; of the others, all. */
enum status trie_worst_steps(const struct trie *trie, uint32_t *ret_steps)
{
    struct cost {
        uint32_t exact, others;
    } *costs = calloc(trie->node_count, sizeof *costs);
    if (!costs)
        return NO_MEMORY;
    uint32_t worst = 0;
    for (uint32_t i = trie->node_count - 1; i > 0; i--) {
        uint32_t steps = saturating_add(1, saturating_add(costs[i].exact, costs[i].others));
        struct cost *parent = &costs[trie->nodes[i].parent];
        if (trie->nodes[i].parent == NONE)
            worst = steps > worst ? steps : worst;
        else if (!trie->nodes[i].is_exact)
            parent->others = saturating_add(parent->others, steps);
        else if (steps > parent->exact)
            parent->exact = steps;
    }
    free(costs);
    *ret_steps = worst;
    return OK;
}
