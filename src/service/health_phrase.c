/* "GET /healthz every 5s timeout 1s": a method and a path, then pairs of a word and a value. */
#include "config/unit.h"
#include "service/service_options.h"

static bool next_word(struct slice *rest, struct slice *ret_word)
{
    do
        if (!slice_split(rest, ' ', ret_word))
            return false;
    while (ret_word->size == 0);
    return true;
}

static enum status parse_pair(
    struct slice key, struct slice value, struct health_options *health, const char **problem)
{
    if (slice_equal(key, SLICE("every")))
        return unit_parse_duration(value, &health->every, problem);
    if (slice_equal(key, SLICE("timeout")))
        return unit_parse_duration(value, &health->timeout, problem);
    *problem = "after the path may stand: every 5s, timeout 2s";
    return INVALID;
}

enum status health_phrase_parse(struct slice text, struct health_options *ret_health,
    const char **ret_problem, struct slice *ret_where)
{
    struct health_options health = *ret_health;
    struct slice rest = text, word, value;
    *ret_where = text;
    *ret_problem = "a check looks so: GET /healthz every 5s";
    if (!next_word(&rest, &word))
        return INVALID;
    *ret_where = word;
    health.method = slice_equal(word, SLICE("HEAD"));
    if (!health.method && !slice_equal(word, SLICE("GET")))
        return INVALID;
    if (!next_word(&rest, ret_where) || ret_where->data[0] != '/')
        return INVALID;
    health.path = *ret_where;
    while (next_word(&rest, ret_where)) {
        if (!next_word(&rest, &value)) {
            *ret_problem = "a value is missing behind this: every 5s";
            return INVALID;
        }
        const char *problem = NULL;
        struct slice key = *ret_where;
        if (parse_pair(key, value, &health, &problem)) {
            *ret_problem = problem;
            bool is_known = slice_equal(key, SLICE("every")) || slice_equal(key, SLICE("timeout"));
            *ret_where = is_known ? value : key;
            return INVALID;
        }
    }
    *ret_health = health;
    return OK;
}
