/* What a router is made of; for the files of this folder alone. */
#pragma once

#include "route/hosts.h"
#include "route/rules.h"
#include "route/trie.h"

struct router {
    struct trie trie;   /* owned */
    struct hosts hosts; /* owned */
    struct rule *rules; /* in the snapshot's arena */
    size_t rule_count;
    struct rule_entry
        *entries; /* in the snapshot's arena; numbered as the trie's leaves are in the end */
};
