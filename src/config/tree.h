/* The configuration as a tree with positions, read from YAML 1.1/1.2 text by libyaml.
 *
 * Scalars stay text: what type they have is said by the option that they fill. Duplicate keys,
 * aliases that nest too far or multiply too much, tags, several documents, merge keys, tabs,
 * control bytes, bytes that are not UTF-8 are diagnosed. `${NAME}` with an upper-case name is
 * replaced by the environment's value ("${NAME:-default}" too) inside scalars, while reading; "$${"
 * is a literal "${".
 *
 * An alias is the node that its anchor names: shared, so a tree is only read. */
#pragma once

#include "config/diagnostic.h"

enum node_kind { NODE_NULL, NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node;

struct node_entry {
    struct slice key;
    struct place key_place;
    struct node *value; /* never NULL */
};

struct node {
    enum node_kind kind;
    bool is_quoted; /* a scalar written in quotes or as a block: never null, never a flag */
    bool is_from_environment; /* a part of the text is: it may be a secret */
    struct place place;
    struct slice text;          /* a scalar's */
    struct slice raw;           /* the same for templates: "$${" is not yet "${" */
    struct node **items;        /* a list's */
    struct node_entry *entries; /* a map's, in the order of the file */
    size_t count;               /* of items or entries */
};

struct tree_limits {
    size_t bytes;           /* 0: 16 MiB */
    size_t nodes;           /* 0: 4,000,000; a sixteenth of them may come from aliases */
    size_t depth;           /* 0: 64 */
    bool keeps_environment; /* leaves "${NAME}" and "$${" as they are: for who works on the text
                               itself */
};

/* INVALID when the text could not be read at all; diagnostics say why. Otherwise OK, even if there
 * are diagnostics. An empty text is an empty map. */
enum status tree_read(struct arena *arena, const struct source *source,
    const struct tree_limits *limits, struct diagnostics *diagnostics, struct node **ret_root);

/* A file, or a folder: all its *.yaml and *.yml in the order of their names, top-level maps merged
 * (a key that occurs twice at the second level is an error that names both; lists at the top, such
 * as `tests`, are joined). */
enum status tree_read_path(struct arena *arena, struct slice path, const struct tree_limits *limits,
    struct diagnostics *diagnostics, struct node **ret_root);

/* The value of a key, or NULL. */
struct node *node_get(const struct node *map, struct slice key);

/* "a list", "a map", "text", "nothing": for messages. */
const char *node_kind_name(const struct node *node);

/* A place inside a scalar: `offset` bytes from its text's beginning, for errors inside phrases. */
struct place node_place_at(const struct node *node, size_t offset, size_t size);
