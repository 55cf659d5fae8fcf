#include "store/state_options.h"

#include "base/clock.h"
#include "store/memory.h"

#define ROW(member) offsetof(struct state_options, member)

static const struct option rows[] = {
    {"file", OPTION_TEXT, ROW(file), .place_offset = ROW(place), .form = "/var/lib/weir/state.db",
        .help = "The file of what has to outlive the process, and the machine's power: an SQLite "
                "database, made when there is none. By default there is none."},
    {"size-max", OPTION_SIZE, ROW(size_max), .fallback = "1GiB", .minimum = 1 << 20,
        .maximum = INT64_C(1) << 44,
        .help = "How large the file may become; what is more is refused until something in it has "
                "ended."},
    {"timeout", OPTION_DURATION, ROW(timeout), .fallback = "1s", .minimum = MILLISECOND,
        .maximum = MINUTE, .help = "How long a request waits for the file at most."},
    {"pending", OPTION_INTEGER, ROW(pending), .fallback = "4096", .minimum = 1, .maximum = 1 << 20,
        .help = "How many requests may wait for the file at a time; what is more is told so at "
                "once."},
    {"memory", OPTION_SIZE, ROW(memory), .fallback = "64MiB", .minimum = MEMORY_LIMIT_MIN,
        .maximum = INT64_C(1) << 40,
        .help = "How much may be remembered in memory, by all policies that remember something "
                "there; then what was not used for longest is forgotten."},
    {NULL}};

const struct option_table state_table = {.name = "state",
    .help = "What the gateway itself remembers for its policies: in memory until it ends, and in a "
            "file for longer.",
    .options = rows,
    .size = sizeof(struct state_options),
    .shorthand = "file",
    .example = "state: /var/lib/weir/state.db"};
