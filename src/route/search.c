#include "route/search.h"

static bool walk(struct search *search, uint32_t at, struct slice path);

static bool visit(struct search *search, uint32_t leaf)
{
    return leaf && search->visit(search, leaf);
}

/* On through a child that took `capture` for its parameter. */
static bool walk_captured(
    struct search *search, uint32_t child, struct slice capture, struct slice rest)
{
    search->captures[search->capture_count++] = capture;
    if (walk(search, child, rest))
        return true;
    search->capture_count--;
    return false;
}

/* The children of a node that are not exact, in their order. */
static bool walk_others(
    struct search *search, const struct trie_node *node, struct slice segment, struct slice rest)
{
    for (uint32_t i = node->matchers; i; i = search->trie->matchers[i].next) {
        const struct trie_matcher *matcher = &search->trie->matchers[i];
        struct slice capture = segment;
        if (segment_match(matcher->segment, search->arena, segment, &capture) &&
            walk_captured(search, matcher->child, capture, rest))
            return true;
    }
    if (node->any && segment.size > 0 && walk_captured(search, node->any, segment, rest))
        return true;
    return visit(search, node->rest);
}

/* As deep as the deepest pattern at most: a child exists only for a pattern's segment. */
static bool walk(struct search *search, uint32_t at, struct slice path)
{
    for (;;) {
        const struct trie_node *node = &search->trie->nodes[at];
        struct slice segment;
        if (!path_next_segment(&path, &segment))
            return visit(search, node->end) || visit(search, node->rest);
        uint32_t child = trie_exact_child(search->trie, at, segment);
        if (!(node->matchers | node->any | node->rest)) {
            if (!child)
                return false;
            at = child;
            continue;
        }
        if (child && walk(search, child, path))
            return true;
        return walk_others(search, node, segment, path);
    }
}

bool search_path(struct search *search, uint32_t root, struct slice path)
{
    search->capture_count = 0;
    return path.size > 0 && path.data[0] == '/' && walk(search, root, path);
}
