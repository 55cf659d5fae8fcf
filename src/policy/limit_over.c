#include "policy/limit_over.h"

#include "base/clock.h"
#include "config/unit.h"

#include <stddef.h>

#define OVER(member) offsetof(struct limit_over, member)
#define SIZE_MOST    1000000
#define WORDS_MOST   4 /* of a phrase */
#define FORM         "delay 2s, queue 100 for 2s, tarpit 10s, log, or {to: cheap}"

static const char *const actions[] = {"refuse", "delay", "queue", "tarpit", "log", "degrade", NULL};

/* What stands there is read when it is known what handlers there are. */
static enum status keep_node(struct reader *reader, const struct node *node, void *ret_value)
{
    (void)reader;
    *(const struct node **)ret_value = node;
    return OK;
}

static const struct option rows[] = {
    {"action", OPTION_CHOICE, OVER(action), .fallback = "refuse", .choices = actions,
        .is_set_offset = OVER(has_action),
        .help = "refuse: 429 at once. delay: it waits until there is room, or is refused at once "
                "when that takes longer than `time`. queue: it waits, and is refused after `time`. "
                "tarpit: 429 after `time`. log: it passes, counted and logged. degrade: it passes, "
                "to `to`, `respond`, `redirect` or `files`."},
    {"time", OPTION_DURATION, OVER(time), .fallback = "5s", .minimum = MILLISECOND, .maximum = HOUR,
        .help = "How long a request may wait, or is held by a tarpit."},
    {"size", OPTION_INTEGER, OVER(size), .fallback = "100", .minimum = 1, .maximum = SIZE_MOST,
        .help = "Requests that may wait or be held at a time, of all keys; the others are refused "
                "at once."},
    {"to", OPTION_CUSTOM, OVER(to), .read = keep_node, .form = "the name of a service",
        .help = "Another service, which answers instead of the route's own handler."},
    {"respond", OPTION_CUSTOM, OVER(respond), .read = keep_node, .form = "as of a route",
        .help = "A fixed answer instead."},
    {"redirect", OPTION_CUSTOM, OVER(redirect), .read = keep_node, .form = "as of a route",
        .help = "Another place to go to instead."},
    {"files", OPTION_CUSTOM, OVER(files), .read = keep_node, .form = "as of a route",
        .help = "Files instead."},
    {NULL}};

static int action_of(struct slice word)
{
    for (int i = 0; actions[i]; i++)
        if (slice_equal(word, slice_of_text(actions[i])))
            return i;
    return -1;
}

static enum status complain(
    struct reader *reader, const struct node *node, struct slice word, const char *problem)
{
    size_t offset = word.data ? (size_t)(word.data - node->text.data) : 0;
    return diagnostics_error(
        reader->diagnostics, node_place_at(node, offset, word.size), SLICE(FORM), "%s", problem);
}

/* "queue", "queue 2s" or "queue 100 for 2s". */
static enum status read_phrase(struct reader *reader, const struct node *node, void *value)
{
    struct limit_over over = *(struct limit_over *)value;
    struct slice rest = node->text, words[WORDS_MOST + 1] = {SLICE_NONE}, word;
    const char *problem = "this is not what can become of a request above the limit";
    size_t count = 0;
    uint64_t size = (uint64_t)over.size;
    if (node->kind != NODE_SCALAR)
        return NOT_FOUND;
    while (count <= WORDS_MOST && slice_split(&rest, ' ', &word))
        if (word.size)
            words[count++] = word;
    if (action_of(words[0]) < 0)
        return complain(reader, node, words[0], problem);
    over.action = action_of(words[0]);
    over.has_action = true;
    struct slice time = count == 2 ? words[1] : words[3];
    bool has_size = count == 4 && slice_equal(words[2], SLICE("for"));
    if (count == 3 || count > WORDS_MOST || (count == 4 && !has_size))
        return complain(reader, node, words[2], "what waits is written so: queue 100 for 2s");
    if (has_size && (!slice_to_u64(words[1], &size) || size < 1 || size > SIZE_MOST))
        return complain(reader, node, words[1], "this many requests cannot wait");
    if (count > 1 && unit_parse_duration(time, &over.time, &problem))
        return complain(reader, node, time, problem);
    if (over.time < MILLISECOND || over.time > HOUR)
        return complain(reader, node, time, "the time is at least 1ms, and at most 1h");
    over.size = (int64_t)size;
    *(struct limit_over *)value = over;
    return OK;
}

struct slice limit_over_key(const struct limit_over *over, const struct node **ret_value)
{
    const struct node *values[] = {over->to, over->respond, over->redirect, over->files};
    static const struct slice keys[] = {
        SLICE_INIT("to"), SLICE_INIT("respond"), SLICE_INIT("redirect"), SLICE_INIT("files")};
    struct slice key = SLICE_NONE;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (values[i] && !key.size) {
            key = keys[i];
            *ret_value = values[i];
        }
    return key;
}

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    struct limit_over *over = value;
    const struct node *answer = NULL;
    bool has_answer = limit_over_key(over, &answer).size > 0;
    int answers = !!over->to + !!over->respond + !!over->redirect + !!over->files;
    if (has_answer && !over->has_action)
        over->action = LIMIT_OVER_DEGRADE;
    bool is_degraded = over->action == LIMIT_OVER_DEGRADE;
    if (is_degraded && !has_answer)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("{to: cheap}"),
            "to be degraded a request needs another service to go to");
    if (!is_degraded && has_answer)
        return diagnostics_error(reader->diagnostics, answer->place,
            SLICE("take the action out, or this"), "only what is degraded goes somewhere else");
    if (answers > 1)
        return diagnostics_error(reader->diagnostics, node->place, SLICE_NONE,
            "a degraded request goes to one of `to`, `respond`, `redirect` and `files`");
    return OK;
}

const struct option_table limit_over_table = {.name = "over",
    .help = "What becomes of a request above the limit.",
    .options = rows,
    .size = sizeof(struct limit_over),
    .read_phrase = read_phrase,
    .check = check,
    .example = "over: queue 100 for 2s"};

const char *limit_over_words(const struct limit_over *over)
{
    static const char *const words[] = {[LIMIT_OVER_REFUSE] = "refuses",
        [LIMIT_OVER_DELAY] = "delays",
        [LIMIT_OVER_QUEUE] = "queues",
        [LIMIT_OVER_TARPIT] = "holds and refuses",
        [LIMIT_OVER_LOG] = "logs and passes",
        [LIMIT_OVER_DEGRADE] = "degrades"};
    return words[over->action];
}
