#include "service/concurrency_options.h"

#include "base/clock.h"
#include "config/unit.h"

#include <stddef.h>

#define SIZE_MOST 1000000

static const struct option concurrency_rows[] = {
    {"max", OPTION_INTEGER, offsetof(struct concurrency_options, max), .fallback = "0",
        .minimum = 0, .maximum = SIZE_MOST,
        .help = "Requests that the whole service may work on, all workers; 0: any number, or 1000 "
                "when that is adaptive."},
    {"endpoint", OPTION_INTEGER, offsetof(struct concurrency_options, endpoint), .fallback = "0",
        .minimum = 0, .maximum = SIZE_MOST,
        .help = "The same of each endpoint, connections and sessions of layer 4 too; 0: as many as "
                "its connections carry."},
    {"adaptive", OPTION_FLAG, offsetof(struct concurrency_options, is_adaptive),
        .fallback = "false",
        .help = "Whether the number is found from how long the service takes: below what `max` "
                "says, at least 3."},
    {"measure", OPTION_DURATION, offsetof(struct concurrency_options, gradient.every),
        .fallback = "1m", .minimum = SECOND, .maximum = DAY,
        .help = "Adaptive: how often few requests are let through at a time (3, until 50 were "
                "answered), to learn what the service takes when nobody waits there."},
    {"buffer", OPTION_SHARE, offsetof(struct concurrency_options, gradient.buffer),
        .fallback = "25%", .minimum = 0, .maximum = 1000,
        .help = "Adaptive: by how much answers may take longer than that."},
    {NULL}};

static enum status read_concurrency(struct reader *reader, const struct node *node, void *value)
{
    struct concurrency_options *concurrency = value;
    (void)reader;
    if (node->kind != NODE_SCALAR || !slice_equal(node->text, SLICE("adaptive")))
        return NOT_FOUND;
    concurrency->is_adaptive = true;
    return OK;
}

static enum status check_concurrency(struct reader *reader, const struct node *node, void *value)
{
    struct concurrency_options *concurrency = value;
    struct gradient_options *gradient = &concurrency->gradient;
    gradient->most = concurrency->max ? concurrency->max : 1000;
    gradient->least = 3;
    gradient->samples = 50;
    gradient->jitter = 0.15;
    gradient->interval = 100 * MILLISECOND;
    if (concurrency->is_adaptive && gradient->most < gradient->least)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("max: 3"),
            "what is adaptive needs room: at least 3");
    return OK;
}

const struct option_table concurrency_table = {.name = "concurrency",
    .help = "How many requests may be under way at a time; others wait in the service's queue. "
            "WebSockets and streams count as long as they last.",
    .options = concurrency_rows,
    .size = sizeof(struct concurrency_options),
    .shorthand = "max",
    .read_phrase = read_concurrency,
    .check = check_concurrency,
    .example = "concurrency: {max: 500, endpoint: 100}"};

static const struct option queue_rows[] = {
    {"size", OPTION_INTEGER, offsetof(struct queue_options, size), .fallback = "1024", .minimum = 0,
        .maximum = SIZE_MOST,
        .help = "Requests that may wait, of all workers; 0: none, who comes too late is refused. "
                "When it is full, who matters more takes the place of who matters least."},
    {"time", OPTION_DURATION, offsetof(struct queue_options, time), .fallback = "0s", .minimum = 0,
        .maximum = HOUR, .help = "How long each may wait; 0s: as long as connecting may take."},
    {NULL}};

/* "100 for 2s", or a number alone. */
static enum status read_queue(struct reader *reader, const struct node *node, void *value)
{
    struct queue_options queue = *(struct queue_options *)value;
    struct slice rest = node->text, words[4] = {SLICE_NONE}, word;
    const char *problem = "a queue looks so: 100 for 2s";
    size_t count = 0, bad = 0;
    uint64_t size = 0;
    if (node->kind != NODE_SCALAR)
        return NOT_FOUND;
    while (count < 4 && slice_split(&rest, ' ', &word))
        if (word.size)
            words[count++] = word;
    bool is_good = count && slice_to_u64(words[0], &size) && size <= SIZE_MOST;
    if (is_good && count > 1) {
        bad = 1;
        is_good = count == 3 && slice_equal(words[1], SLICE("for"));
        bad = is_good ? 2 : bad;
        is_good = is_good && unit_parse_duration(words[2], &queue.time, &problem) == OK;
    }
    if (!is_good) {
        size_t offset = words[bad].data ? (size_t)(words[bad].data - node->text.data) : 0;
        return diagnostics_error(reader->diagnostics, node_place_at(node, offset, words[bad].size),
            SLICE("100 for 2s"), "%s", problem);
    }
    queue.size = (int64_t)size;
    *(struct queue_options *)value = queue;
    return OK;
}

const struct option_table queue_table = {.name = "queue",
    .help = "Where requests wait while a service is busy, and connections of layer 4: those that "
            "matter more first (`importance` of a route), else as they came.",
    .options = queue_rows,
    .size = sizeof(struct queue_options),
    .read_phrase = read_queue,
    .example = "queue: 100 for 2s"};

/* --- shed */

#define SHED(member) offsetof(struct admission_options, member)

static const struct option shed_rows[] = {
    {"below", OPTION_SHARE, SHED(success), .fallback = "95%", .minimum = 1, .maximum = 100,
        .help = "Less than this part of the requests succeeds: then some are shed."},
    {"window", OPTION_DURATION, SHED(window), .fallback = "30s", .minimum = SECOND, .maximum = HOUR,
        .help = "How far back requests count."},
    {"aggression", OPTION_SHARE, SHED(aggression), .fallback = "100%", .minimum = 1,
        .maximum = 1000, .help = "How many: 100% in proportion to what is missing, more: sooner."},
    {"most", OPTION_SHARE, SHED(most), .fallback = "80%", .minimum = 1, .maximum = 99,
        .help = "Of the requests of one importance, at most."},
    {"volume", OPTION_INTEGER, SHED(volume), .fallback = "20", .minimum = 1, .maximum = 1000000,
        .help = "Requests in the window without which none are shed."},
    {NULL}};

static enum status check_shed(struct reader *reader, const struct node *node, void *value)
{
    (void)reader;
    (void)node;
    ((struct admission_options *)value)->is_set = true;
    return OK;
}

const struct option_table shed_table = {.name = "shed",
    .help = "Keeps requests from a service that fails too often: those that matter least first "
            "(`importance` of a route).",
    .options = shed_rows,
    .size = sizeof(struct admission_options),
    .shorthand = "below",
    .check = check_shed,
    .example = "shed: {below: 95%, most: 60%}"};
