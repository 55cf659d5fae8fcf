/* The walk through a trie: every leaf that a path reaches, the most specific first. */
#pragma once

#include "route/trie.h"

struct search {
    const struct trie *trie;
    struct arena *arena; /* for what regular expressions see decoded */
    /* Whether the leaf decides: true ends the search. */
    bool (*visit)(struct search *search, uint32_t leaf);
    void *argument;
    unsigned capture_count;
    struct slice
        captures[PATH_SEGMENTS_MAX]; /* texts of the parametric segments so far, not decoded */
};

/* True when a visit ended it. `path` begins with "/". */
bool search_path(struct search *search, uint32_t root, struct slice path);
