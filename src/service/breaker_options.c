#include "service/breaker_options.h"

#include "base/clock.h"
#include "config/unit.h"

#include <stddef.h>

#define BREAKER(member) offsetof(struct breaker_options, member)

#define DURATION(name_, member, fallback_, least, help_)                                          \
    {                                                                                             \
        .name = name_, .kind = OPTION_DURATION, .offset = BREAKER(member), .fallback = fallback_, \
        .minimum = least, .maximum = DAY, .help = help_                                           \
    }

static const char *const per_words[] = {"service", "endpoint", NULL};
static const char *const half_words[] = {"ramp", "trial", NULL};

static const struct option breaker_rows[] = {
    DURATION("open", open, "10s", MILLISECOND,
        "How long nobody is let through, the first time; then twice as long each time that it "
        "fails still."),
    DURATION("longest", longest, "5m", MILLISECOND, "How long at most."),
    {"share", OPTION_SHARE, BREAKER(share), .fallback = "50%", .minimum = 0, .maximum = 100,
        .help = "The part of the window's requests that opens it when it fails; 0%: none does."},
    {"volume", OPTION_INTEGER, BREAKER(volume), .fallback = "20", .minimum = 1, .maximum = 1000000,
        .help = "Requests in the window without which shares and quantiles say nothing."},
    DURATION("window", window, "10s", 16 * MILLISECOND, "How far back requests count."),
    {"in-a-row", OPTION_INTEGER, BREAKER(in_a_row), .fallback = "0", .minimum = 0,
        .maximum = 1000000, .help = "Failures in a row that open it; 0: no number does."},
    {"quantile", OPTION_SHARE, BREAKER(quantile), .fallback = "95%", .minimum = 1, .maximum = 99,
        .help = "Which of the window's answers must not take longer than `above`: 95% is the one "
                "that 95 of 100 are faster than."},
    DURATION("above", above, "0s", 0, "How long that answer may take; 0s: any time."),
    {"half-open", OPTION_CHOICE, BREAKER(half_open), .fallback = "ramp", .choices = half_words,
        .help = "What follows the open time: ramp lets a part through, from a tenth up to all; "
                "trial lets one request through, on which all depends."},
    DURATION("ramp", ramp, "10s", MILLISECOND,
        "How long that takes. Three failures in a row open it again."),
    {"per", OPTION_CHOICE, BREAKER(per), .fallback = "service", .choices = per_words,
        .help = "What it is of: the whole service (requests, after all tries), or each endpoint "
                "(tries)."},
    {NULL}};

/* --- the phrase */

struct words {
    struct slice rest, word;
    struct breaker_options breaker;
    const char *problem;
};

static bool next(struct words *w)
{
    return slice_next_word(&w->rest, &w->word);
}

static bool is_word(const struct words *w, const char *text)
{
    return slice_equal(w->word, slice_of_text(text));
}

static bool take(struct words *w, const char *text)
{
    return next(w) && is_word(w, text);
}

static bool take_duration(struct words *w, int64_t *ret)
{
    return next(w) && unit_parse_duration(w->word, ret, &w->problem) == OK && *ret > 0;
}

static bool read_count(const struct words *w, struct slice text, int64_t *ret)
{
    uint64_t count;
    (void)w;
    if (!slice_to_u64(text, &count) || count < 1 || count > 1000000)
        return false;
    *ret = (int64_t)count;
    return true;
}

/* "50% of 20 fail" */
static bool read_share(struct words *w)
{
    double share;
    if (unit_parse_share(w->word, &share, &w->problem) || share <= 0)
        return false;
    w->breaker.share = share;
    w->problem = "a share looks so: 50% of 20 fail";
    return take(w, "of") && next(w) && read_count(w, w->word, &w->breaker.volume) &&
           take(w, "fail");
}

/* "p95 of 20 above 500ms" */
static bool read_quantile(struct words *w)
{
    int64_t percent;
    w->problem = "a quantile looks so: p95 of 20 above 500ms";
    if (!read_count(w, slice_from(w->word, 1), &percent) || percent > 99)
        return false;
    w->breaker.quantile = (double)percent / 100;
    return take(w, "of") && next(w) && read_count(w, w->word, &w->breaker.volume) &&
           take(w, "above") && take_duration(w, &w->breaker.above);
}

/* "5 in a row fail" */
static bool read_row(struct words *w)
{
    w->problem = "a condition looks so: 50% of 20 fail, 5 in a row fail, p95 of 20 above 500ms";
    return read_count(w, w->word, &w->breaker.in_a_row) && take(w, "in") && take(w, "a") &&
           take(w, "row") && take(w, "fail");
}

static bool read_condition(struct words *w)
{
    w->problem = "a condition is missing behind this: 50% of 20 fail";
    if (!next(w))
        return false;
    if (w->word.data[w->word.size - 1] == '%')
        return read_share(w);
    return w->word.data[0] == 'p' ? read_quantile(w) : read_row(w);
}

static bool read_per(struct words *w)
{
    w->problem = "a breaker is per service or per endpoint";
    if (!next(w))
        return false;
    w->breaker.per = is_word(w, "endpoint") ? BREAKER_PER_ENDPOINT : BREAKER_PER_SERVICE;
    return is_word(w, "endpoint") || is_word(w, "service");
}

/* What may follow the conditions, in any order. */
static bool read_rest(struct words *w)
{
    if (is_word(w, "or"))
        return read_condition(w);
    if (is_word(w, "per"))
        return read_per(w);
    w->breaker.half_open = is_word(w, "trial") ? BREAKER_BY_TRIAL : w->breaker.half_open;
    if (is_word(w, "trial"))
        return true;
    w->problem = "a time is missing behind this: 10s";
    if (is_word(w, "within"))
        return take_duration(w, &w->breaker.window);
    if (is_word(w, "ramp"))
        return take_duration(w, &w->breaker.ramp);
    if (is_word(w, "longest"))
        return take_duration(w, &w->breaker.longest);
    w->problem = "then may stand: or 5 in a row fail, within 10s, ramp 10s, trial, longest 5m, per "
                 "endpoint";
    return false;
}

/* What a phrase says of conditions is all of them. */
static bool read_conditions(struct words *w)
{
    w->problem = "behind the time stands a condition: if 50% of 20 fail";
    if (!is_word(w, "if"))
        return false;
    w->breaker.share = 0;
    return read_condition(w);
}

static bool read_phrase(struct words *w)
{
    w->problem = "a breaker looks so: open 10s if 50% of 20 fail";
    if (!take(w, "open") || !take_duration(w, &w->breaker.open))
        return false;
    if (next(w) && !read_conditions(w))
        return false;
    while (next(w))
        if (!read_rest(w))
            return false;
    return true;
}

enum status breaker_phrase_parse(struct slice text, struct breaker_options *ret_breaker,
    const char **ret_problem, struct slice *ret_where)
{
    struct words w = {.rest = text, .word = text, .breaker = *ret_breaker};
    if (!read_phrase(&w)) {
        *ret_problem = w.problem;
        *ret_where = w.word.data ? w.word : text;
        return INVALID;
    }
    *ret_breaker = w.breaker;
    return OK;
}

static enum status read_breaker(struct reader *reader, const struct node *node, void *value)
{
    const char *problem = NULL;
    struct slice where = node->text;
    if (node->kind != NODE_SCALAR)
        return NOT_FOUND;
    if (breaker_phrase_parse(node->text, value, &problem, &where) == OK)
        return OK;
    size_t offset = where.data ? (size_t)(where.data - node->text.data) : 0;
    return diagnostics_error(
        reader->diagnostics, node_place_at(node, offset, where.size), SLICE_NONE, "%s", problem);
}

static enum status check_breaker(struct reader *reader, const struct node *node, void *value)
{
    struct breaker_options *breaker = value;
    breaker->is_set = true;
    if (breaker->share <= 0 && !breaker->in_a_row && !breaker->above)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("in-a-row: 5"),
            "a breaker without a condition never opens");
    if (breaker->longest < breaker->open && breaker->longest != 5 * MINUTE)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("longest: 5m"),
            "`longest` is shorter than `open`");
    return OK;
}

const struct option_table breaker_table = {.name = "breaker",
    .help = "Asks the service, or one of its endpoints, nothing for a while when too many requests "
            "fail there: no connection, no answer, a status of 500 and above. Kept across reloads.",
    .options = breaker_rows,
    .size = sizeof(struct breaker_options),
    .read_phrase = read_breaker,
    .check = check_breaker,
    .example = "breaker: open 10s if 50% of 20 fail"};
