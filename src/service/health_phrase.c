/* "GET /healthz every 5s timeout 1s" and "tcp 9000 every 2s": what is asked and where, then pairs
 * of a word and a value. */
#include "config/unit.h"
#include "service/health_options.h"

static bool next_word(struct slice *rest, struct slice *ret_word)
{
    do
        if (!slice_split(rest, ' ', ret_word))
            return false;
    while (ret_word->size == 0);
    return true;
}

/* --- pairs */

enum pair_kind { PAIR_DURATION, PAIR_COUNT, PAIR_TEXT };

struct pair {
    const char *word;
    enum pair_kind kind;
    void *value;
};

static const struct pair *find_pair(const struct pair *pairs, struct slice word)
{
    for (; pairs->word; pairs++)
        if (slice_equal(word, slice_of_text(pairs->word)))
            return pairs;
    return NULL;
}

static enum status read_pair(const struct pair *pair, struct slice text, const char **problem)
{
    uint64_t count = 0;
    switch (pair->kind) {
    case PAIR_DURATION:
        return unit_parse_duration(text, pair->value, problem);
    case PAIR_COUNT:
        *problem = "a number from 1 to 100";
        if (!slice_to_u64(text, &count) || count < 1 || count > 100)
            return INVALID;
        *(int64_t *)pair->value = (int64_t)count;
        return OK;
    case PAIR_TEXT:
        *(struct slice *)pair->value = text;
        return OK;
    }
    return INVALID;
}

static enum status read_pairs(struct slice rest, const struct pair *pairs, const char *allowed,
    const char **ret_problem, struct slice *ret_where)
{
    struct slice key, value;
    while (next_word(&rest, &key)) {
        const struct pair *pair = find_pair(pairs, key);
        bool has_value = next_word(&rest, &value);
        *ret_where = key;
        *ret_problem = has_value ? allowed : "a value is missing behind this: every 5s";
        if (!has_value || !pair)
            return INVALID;
        *ret_where = value;
        if (read_pair(pair, value, ret_problem))
            return INVALID;
    }
    return OK;
}

/* --- health */

struct word {
    const char *text;
    int method;
};

static bool find_method(const struct word *words, struct slice text, int *ret_method)
{
    for (; words->text; words++) {
        if (!slice_equal(text, slice_of_text(words->text)))
            continue;
        *ret_method = words->method;
        return true;
    }
    return false;
}

/* A path; or the name of a gRPC service, which may be left out; or nothing. */
static bool parse_path(struct slice *rest, const struct pair *pairs, struct slice *ret_where,
    struct health_options *health)
{
    struct slice behind = *rest, word;
    if (health_is_bare(health->method)) {
        health->path = SLICE("*");
        return true;
    }
    bool is_grpc = health->method == HEALTH_GRPC;
    bool has_word = next_word(&behind, &word);
    if (is_grpc && (!has_word || find_pair(pairs, word))) {
        health->path = SLICE("*");
        return true;
    }
    if (!has_word)
        return false;
    *ret_where = health->path = word;
    *rest = behind;
    return is_grpc || word.data[0] == '/';
}

static const struct word health_words[] = {{"GET", HEALTH_GET}, {"HEAD", HEALTH_HEAD},
    {"grpc", HEALTH_GRPC}, {"tcp", HEALTH_TCP}, {"udp", HEALTH_UDP}, {"tls", HEALTH_TLS},
    {"command", HEALTH_COMMAND}, {NULL, 0}};

enum status health_phrase_parse(struct slice text, struct health_options *ret_health,
    struct health_phrase *ret_more, const char **ret_problem, struct slice *ret_where)
{
    struct health_options health = *ret_health;
    struct health_phrase more = {SLICE_NONE, SLICE_NONE};
    const struct pair pairs[] = {{"every", PAIR_DURATION, &health.every},
        {"timeout", PAIR_DURATION, &health.timeout}, {"failing", PAIR_DURATION, &health.failing},
        {"idle", PAIR_DURATION, &health.idle}, {"rise", PAIR_COUNT, &health.rise},
        {"fall", PAIR_COUNT, &health.fall}, {"expect", PAIR_TEXT, &more.expect},
        {"body", PAIR_TEXT, &more.body}, {NULL, 0, NULL}};
    struct slice rest = text, word;
    *ret_where = text;
    *ret_problem = "a check looks so: GET /healthz every 5s";
    if (!next_word(&rest, &word))
        return INVALID;
    *ret_where = word;
    if (!find_method(health_words, word, &health.method) ||
        !parse_path(&rest, pairs, ret_where, &health))
        return INVALID;
    enum status e = read_pairs(rest, pairs,
        "after the path may stand: every 5s, timeout 2s, failing 1s, idle 60s, rise 2, fall 3, "
        "expect 200|204, body ready",
        ret_problem, ret_where);
    if (e)
        return e;
    *ret_health = health;
    *ret_more = more;
    return OK;
}

/* --- agent */

static const struct word agent_words[] = {{"tcp", AGENT_TCP}, {"GET", AGENT_GET}, {NULL, 0}};

/* A port for tcp, a path for GET. */
static bool parse_place(struct slice *rest, struct slice *ret_where, struct agent_options *agent)
{
    struct slice word = SLICE_NONE;
    uint64_t port = 0;
    if (!next_word(rest, &word))
        return false;
    *ret_where = word;
    if (agent->method == AGENT_TCP) {
        bool is_port = slice_to_u64(word, &port) && port > 0 && port <= 65535;
        agent->port = (int64_t)port;
        return is_port;
    }
    agent->path = word;
    return word.data[0] == '/';
}

enum status agent_phrase_parse(struct slice text, struct agent_options *ret_agent,
    const char **ret_problem, struct slice *ret_where)
{
    struct agent_options agent = *ret_agent;
    const struct pair pairs[] = {{"every", PAIR_DURATION, &agent.every},
        {"timeout", PAIR_DURATION, &agent.timeout}, {"expires", PAIR_DURATION, &agent.expires},
        {NULL, 0, NULL}};
    struct slice rest = text, word;
    *ret_where = text;
    *ret_problem = "an agent looks so: tcp 9000 every 2s, GET /load every 2s";
    if (!next_word(&rest, &word))
        return INVALID;
    *ret_where = word;
    if (!find_method(agent_words, word, &agent.method) || !parse_place(&rest, ret_where, &agent))
        return INVALID;
    enum status e = read_pairs(
        rest, pairs, "then may stand: every 2s, timeout 2s, expires 3m", ret_problem, ret_where);
    if (!e)
        *ret_agent = agent;
    return e;
}
