#include "service/judge_options.h"

#include "base/clock.h"
#include "config/unit.h"

#include <stddef.h>

#define MARGIN        "a margin looks so: errors +1%, p99 +25%"

#define JUDGE(member) offsetof(struct judge_options, member)

static const struct option judge_rows[] = {
    {"errors", OPTION_SHARE, JUDGE(errors), .fallback = "1%", .minimum = 0, .maximum = 100,
        .help = "By how much more of its requests may fail than of the old version's: with 1%, 3% "
                "where the old has 2%. 0%: failures are not looked at."},
    {"p99", OPTION_SHARE, JUDGE(p99), .fallback = "25%", .minimum = 0, .maximum = 10000,
        .help = "By how much slower the 99th percentile of its answers may be: with 25%, 125 ms "
                "where the old has 100 ms. 0%: times are not looked at."},
    {"least", OPTION_DURATION, JUDGE(least), .fallback = "5ms", .minimum = 0, .maximum = HOUR,
        .help = "A difference of the 99th percentiles that is smaller than this is none."},
    {"volume", OPTION_INTEGER, JUDGE(volume), .fallback = "100", .minimum = 10, .maximum = 1000000,
        .help = "Requests within the window, of the old and of the new version, before anything is "
                "said."},
    {"time", OPTION_DURATION, JUDGE(time), .fallback = "10m", .minimum = 10 * SECOND,
        .maximum = DAY, .help = "How far back results count."},
    {"against", OPTION_TEXT, JUDGE(against), .place_offset = JUDGE(place),
        .help = "The old version. Nothing: the one that has neither a share nor a condition."},
    {NULL}};

/* --- the phrase */

struct words {
    struct slice rest, word;
    const char *problem;
};

static bool next(struct words *w)
{
    return slice_next_word(&w->rest, &w->word);
}

/* "errors +1%" or "p99 +25%" */
static bool read_margin(struct words *w, struct judge_options *judge)
{
    bool is_errors = slice_equal(w->word, SLICE("errors"));
    double *margin = is_errors ? &judge->errors : &judge->p99;
    if (!is_errors && !slice_equal(w->word, SLICE("p99")))
        return false;
    if (!next(w) || w->word.data[0] != '+')
        return false;
    const char *problem;
    struct slice number = slice_from(w->word, 1);
    return !unit_parse_percent(number, margin, &problem) && *margin > 0 &&
           *margin <= (is_errors ? 1 : 100);
}

static bool read_words(struct words *w, struct judge_options *judge)
{
    judge->errors = judge->p99 = 0;
    w->problem = "a judge looks so: errors +1% or p99 +25%";
    if (!next(w))
        return false;
    w->problem = MARGIN;
    if (!read_margin(w, judge))
        return false;
    while (next(w)) {
        w->problem = "then may stand: or p99 +25%, against v1";
        if (slice_equal(w->word, SLICE("or"))) {
            w->problem = MARGIN;
            if (!next(w) || !read_margin(w, judge))
                return false;
        } else if (!slice_equal(w->word, SLICE("against")) || !next(w)) {
            return false;
        } else {
            judge->against = w->word;
        }
    }
    return true;
}

static enum status read_judge(struct reader *reader, const struct node *node, void *value)
{
    struct judge_options *judge = value;
    struct words w = {.rest = node->text};
    if (node->kind != NODE_SCALAR)
        return NOT_FOUND;
    if (read_words(&w, judge)) {
        struct slice name = judge->against;
        if (name.size)
            judge->place = node_place_at(node, (size_t)(name.data - node->text.data), name.size);
        return OK;
    }
    size_t offset = w.word.data ? (size_t)(w.word.data - node->text.data) : 0;
    size_t size = w.word.data ? w.word.size : node->text.size;
    return diagnostics_error(reader->diagnostics, node_place_at(node, offset, size),
        SLICE("errors +1% or p99 +25%"), "%s", w.problem);
}

static enum status check_judge(struct reader *reader, const struct node *node, void *value)
{
    const struct judge_options *judge = value;
    if (judge->errors > 0 || judge->p99 > 0)
        return OK;
    return diagnostics_error(reader->diagnostics, node->place, SLICE("errors +1% or p99 +25%"),
        "a judge that looks at nothing never says anything");
}

const struct option_table judge_table = {.name = "judge",
    .help = "Compares each version with the old one. One that fails more often, or is slower at "
            "the 99th percentile, by more than the margin and not by chance, gets no requests any "
            "more, until `weir shift` says otherwise or the file's shares change.",
    .options = judge_rows,
    .size = sizeof(struct judge_options),
    .read_phrase = read_judge,
    .check = check_judge,
    .example = "judge: errors +1% or p99 +25%"};
