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

static bool parse_method(struct slice word, int *ret_method)
{
    if (slice_equal(word, SLICE("GET")))
        *ret_method = HEALTH_GET;
    else if (slice_equal(word, SLICE("HEAD")))
        *ret_method = HEALTH_HEAD;
    else if (slice_equal(word, SLICE("grpc")))
        *ret_method = HEALTH_GRPC;
    else if (slice_equal(word, SLICE("tcp")))
        *ret_method = HEALTH_TCP;
    else if (slice_equal(word, SLICE("udp")))
        *ret_method = HEALTH_UDP;
    else
        return false;
    return true;
}

/* A path; or the name of a gRPC service, which may be left out; or nothing. */
static bool parse_path(struct slice *rest, struct slice *ret_where, struct health_options *health)
{
    struct slice behind = *rest, word;
    bool is_grpc = health->method == HEALTH_GRPC;
    if (health_is_bare(health->method)) {
        health->path = SLICE("*");
        return true;
    }
    bool has_word = next_word(&behind, &word);
    if (is_grpc &&
        (!has_word || slice_equal(word, SLICE("every")) || slice_equal(word, SLICE("timeout")))) {
        health->path = SLICE("*");
        return true;
    }
    if (!has_word)
        return false;
    *ret_where = health->path = word;
    *rest = behind;
    return is_grpc || word.data[0] == '/';
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
    if (!parse_method(word, &health.method))
        return INVALID;
    if (!parse_path(&rest, ret_where, &health))
        return INVALID;
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
