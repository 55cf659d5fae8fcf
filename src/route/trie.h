/* The trie over path segments.
 *
 * A node is one cache line. Edges of exact segments of all nodes lie in one hash table, keyed by
 * parent and text, so that a step costs two memory accesses whatever the number of siblings. Other
 * edges are few: the child for "any segment", and a list of matchers in order of specificity.
 * Nodes, matchers and leaves are named by number; 0 is none.
 *
 * A leaf is where rules end; which ones is the router's (rules.h). */
#pragma once

#include "route/path_pattern.h"

#define TRIE_INLINE 32

struct trie_node {
    uint32_t parent;
    uint32_t any;       /* child for "*" and "{name}" */
    uint32_t matchers;  /* the first of those that have to look at the text */
    uint32_t end;       /* leaf of the rules that end here */
    uint32_t rest;      /* leaf of the rules that have "**" here */
    uint32_t size : 31; /* of the text */
    uint32_t is_exact : 1;
    uint32_t hash;   /* of the edge: low half */
    uint32_t filter; /* a bit for each exact child, by its hash: a fast "no" */
    union {
        char inline_text[TRIE_INLINE]; /* when it fits */
        const char *text;              /* borrowed from the pattern */
    };
} __attribute__((aligned(64)));

struct trie_slot {
    uint32_t tag; /* high half of the edge's hash */
    uint32_t node;
};

struct trie_matcher {
    const struct segment *segment; /* borrowed from the snapshot */
    uint32_t child, next;
};

struct trie {
    struct trie_node *nodes;       /* owned */
    struct trie_slot *slots;       /* owned */
    struct trie_matcher *matchers; /* owned */
    uint32_t node_count, node_capacity;
    uint32_t edge_count, slot_count; /* slot_count is a power of two */
    uint32_t matcher_count, matcher_capacity;
    uint32_t leaf_count;
};

void trie_init(struct trie *trie);
void trie_release(struct trie *trie);

/* A new root, from which paths of their own begin. */
enum status trie_add_root(struct trie *trie, uint32_t *ret_root);

/* Adds a path, which must outlive the trie, and yields its leaf. */
enum status trie_add(
    struct trie *trie, uint32_t root, const struct path_pattern *path, uint32_t *ret_leaf);

/* Leaves are called by these numbers from now on: `numbers` has one for each old number. Nothing is
 * added afterwards. */
void trie_renumber_leaves(struct trie *trie, const uint32_t *numbers);

/* The child that an exact segment leads to, or 0. */
uint32_t trie_exact_child(const struct trie *trie, uint32_t parent, struct slice segment);

/* The most nodes that any path can make a look-up visit: depth, plus what alternatives may cost in
 * vain. */
enum status trie_worst_steps(const struct trie *trie, uint32_t *ret_steps);
