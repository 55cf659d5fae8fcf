/* Option tables: everything about an option is written once. The table reads the configuration into
 * a struct, checks it, words the errors, fills the JSON Schema for editors, prints the reference,
 * and drives `weir fmt --long`.
 *
 *     static const struct option options[] = {
 *         {"rate", OPTION_RATE, offsetof(struct limit, rate), .is_required = true, .help = "How
 * many requests may pass."},
 *         {"burst", OPTION_INTEGER, offsetof(struct limit, burst), .fallback = "0", .minimum = 0,
 * .maximum = 1000000, .help = "How many may come at once on top."}, {NULL}}; const struct
 * option_table limit_options = {.name = "limit", .options = options, .size = sizeof(struct limit),
 *         .shorthand = "rate", .help = "Limits how often something may happen."};
 *
 * An unknown option, a wrong type, a value without its unit, one out of bounds, a missing required
 * one: each becomes a diagnostic with place and suggestion; reading goes on, so that all are
 * reported at once. */
#pragma once

#include "config/tree.h"

struct reader;
struct secret_file;
struct option_table;
struct expression_root;

enum option_kind {
    OPTION_FLAG,       /* bool: true or false (only these two words) */
    OPTION_INTEGER,    /* int64_t */
    OPTION_SIZE,       /* int64_t bytes: "10MiB", "64KiB", "512B", "1MB" */
    OPTION_DURATION,   /* int64_t nanoseconds: "250ms", "5s", "1m30s", "2h" */
    OPTION_RATE,       /* struct rate: "100/min", "5/s", "1000/h", "3/10s" */
    OPTION_SHARE,      /* double 0 to 1: "20%", "0.5%"; beyond when `maximum` is above 100 */
    OPTION_TEXT,       /* struct slice */
    OPTION_SECRET,     /* struct slice: a text, or what {file: path} has (secret.h) */
    OPTION_CHOICE,     /* int: the index in `choices` */
    OPTION_PATTERN,    /* struct pattern *: a regular expression (PCRE2) */
    OPTION_EXPRESSION, /* struct expression *: "header.x-plan" */
    OPTION_TEMPLATE,   /* struct template *: "user ${claims.sub}" */
    OPTION_NETWORKS,   /* struct network_list: one or a list; words "private", "loopback" allowed */
    OPTION_STRUCT,     /* a struct of its own, in place: `table` */
    OPTION_LIST,       /* struct option_list of `item`; a single value is a list of one */
    OPTION_MAP,        /* struct option_map: name to `item`, in the file's order */
    OPTION_CUSTOM,     /* whatever `read` makes of it; `form` words its shape */
};

struct rate {
    int64_t count;
    int64_t per; /* nanoseconds */
};

/* What `per` is when it is a month: where the calendar does not matter, as good as 30 days. */
#define RATE_MONTH (30 * DAY + 1)

struct network_list {
    struct network *items;
    size_t count;
};

struct option_list {
    void *items; /* `count` of the item's size, in the reader's arena */
    size_t count;
};

struct option_map_entry {
    struct slice key;
    struct place place; /* of the key */
    void *value;        /* the item */
};

struct option_map {
    struct option_map_entry *entries;
    size_t count;
};

struct option {
    const char *name;
    enum option_kind kind;
    uint32_t offset; /* where it lands in the struct */
    bool is_required;
    bool sees_response;     /* of EXPRESSION and TEMPLATE: used when the response's head is there */
    uint32_t is_set_offset; /* of a bool that becomes true when the user wrote it; 0: none */
    uint32_t place_offset;  /* of a struct place of the value; 0: none */
    const char *fallback;   /* the default as a user would write it; NULL: zero. Shown in the
                               reference and read like input */
    int64_t minimum, maximum;         /* of numbers; both 0: no bounds */
    const char *const *choices;       /* ends with NULL */
    const struct option_table *table; /* of STRUCT, and of LIST and MAP items that are structs */
    const struct option *item; /* of LIST and MAP items that are not structs; its `offset` is 0. Of
                                * CUSTOM: what its values look like, for the schema, the reference
                                * and the long form (a MAP of some table); NULL: not known */
    size_t item_size;          /* of `item`, bytes */
    enum status (*read)(struct reader *reader, const struct node *node, void *ret_value);
    /* Of CUSTOM with an item_size: writes what it reads, for the long form. NULL: cannot. */
    bool (*write)(const void *value, struct text *text);
    const char *form;   /* for CUSTOM and for messages: "METHOD /path: service" */
    const char *schema; /* CUSTOM: its JSON Schema as text; NULL: as `item` says, or anything */
    const char *help;   /* one line, a sentence */
};

struct option_table {
    const char *name;             /* what it is, for messages: "service", "limit" */
    const char *help;             /* a paragraph for the reference */
    const struct option *options; /* ends with a NULL name */
    size_t size;                  /* of the struct */
    const char *shorthand; /* the option that a value that is no map stands for, or a name that
                            * read_unknown takes; NULL: only maps */
    /* Reads the other short forms (a phrase such as "open 10s if 50% of 20 fail"); returns
     * NOT_FOUND when the node is none of them. The reader's context is NULL when `weir fmt --long`
     * asks; then what needs it may be left empty. NULL: none. */
    enum status (*read_phrase)(struct reader *reader, const struct node *node, void *value);
    /* Looks at the whole struct after its options were read; diagnoses what does not go together.
     * NULL: nothing to check. */
    enum status (*check)(struct reader *reader, const struct node *node, void *value);
    /* Keys that this table does not know are offered here first (a route's policies); NOT_FOUND:
     * not mine either. NULL: none. */
    enum status (*read_unknown)(struct reader *reader, const struct node_entry *entry, void *value);
    /* Names that read_unknown takes, for suggestions: returns the i-th or NULL. NULL: none. */
    const char *(*unknown_name)(size_t i);
    /* Describes the i-th of these names as an option (its name, kind, table or item, help), for the
     * schema, the reference and the long form; false: not known. NULL: none. */
    bool (*unknown_option)(size_t i, struct option *ret_option);
    const char *example; /* a line of YAML for the reference; NULL: none */
};

/* The parameters of a route's path. */
struct parameter_names {
    const struct slice *items; /* borrowed */
    size_t count;
};

/* What a read goes through: where results and complaints go. */
struct reader {
    struct arena *arena;             /* borrowed: the snapshot's */
    struct diagnostics *diagnostics; /* borrowed */
    void *context;                   /* for the `read` hooks: the gateway's loader */
    struct slice subject;            /* "service \"cart\"": for messages */
    const struct expression_root *
        roots; /* names for expressions besides the built-in ones (expression_root.h); NULL: none */
    bool has_claims;                          /* an `auth` brings what tokens say */
    const struct parameter_names *parameters; /* that expressions may ask for; NULL: any */
    const struct secret_file **secrets; /* list of the files that were read for secrets, the newest
                                         * first; borrowed, NULL: nobody wants to know */
};

/* Reads a node into `value` (already cleared by the caller, `table->size` bytes). Defaults are
 * filled in first. OK also if there were complaints about parts: look at diagnostics->errors.
 * NO_MEMORY, INVALID when nothing useful could be read. */
enum status option_read(
    struct reader *reader, const struct option_table *table, const struct node *node, void *value);

/* One option alone, as an item of lists and maps is. */
enum status option_read_value(
    struct reader *reader, const struct option *option, const struct node *node, void *ret_value);

/* Fills in the defaults of a table. */
enum status option_defaults(struct reader *reader, const struct option_table *table, void *value);
