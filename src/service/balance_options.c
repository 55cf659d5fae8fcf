#include "service/balance_options.h"

#include "balance/key_hash.h"
#include "base/suggest.h"
#include "http/cookie.h"

/* Splits "NAME REST" at blanks; where the rest begins in the text, or its size. */
static size_t split_name(struct slice text, struct slice *ret_name)
{
    *ret_name = slice_head(text, slice_find(text, ' '));
    size_t rest = ret_name->size;
    while (rest < text.size && text.data[rest] == ' ')
        rest++;
    return rest;
}

/* --- balance */

static enum status complain_balancer(
    struct reader *reader, const struct node *node, struct slice name)
{
    struct suggestion suggestion;
    suggest_begin(&suggestion, name);
    for (size_t i = 0; balancer_names[i]; i++)
        suggest_offer(&suggestion, slice_of_text(balancer_names[i]));
    struct slice hint = SLICE_NONE;
    if (suggestion.best.size)
        hint = arena_format(reader->arena, "did you mean \"%.*s\"?", SLICE_ARG(suggestion.best));
    return diagnostics_error(reader->diagnostics, node_place_at(node, 0, name.size), hint,
        "there is no balancer \"%.*s\"", SLICE_ARG(slice_head(name, 100)));
}

static bool find_balancer(struct slice name, int *ret_index)
{
    for (int i = 0; balancer_names[i]; i++)
        if (slice_equal(name, slice_of_text(balancer_names[i]))) {
            *ret_index = i;
            return true;
        }
    /* The word for whoever does not care which. */
    return slice_equal(name, SLICE("hash")) && find_balancer(SLICE("ring-hash"), ret_index);
}

/* "NAME" or "NAME EXPRESSION". */
static enum status read_balance(struct reader *reader, const struct node *node, void *value)
{
    struct balance_options *balance = value;
    struct slice name;
    if (node->kind != NODE_SCALAR)
        return NOT_FOUND;
    size_t behind = split_name(node->text, &name), left = node->text.size - behind;
    if (!find_balancer(name, &balance->by))
        return complain_balancer(reader, node, name);
    if (left == 0)
        return OK;
    if (!balancer_types[balance->by]->needs_hash)
        return diagnostics_error(reader->diagnostics, node_place_at(node, behind, left), SLICE_NONE,
            "\"%.*s\" takes nothing behind its name", SLICE_ARG(name));
    return expression_compile_part(reader, node, behind, left, PHASE_REQUEST, &balance->key);
}

static enum status use_usual_key(
    struct reader *reader, const struct node *node, struct balance_options *balance)
{
    struct slice key = slice_of_text(balancer_types[balance->by]->key);
    struct node written = {.kind = NODE_SCALAR, .place = node->place, .text = key, .raw = key};
    return expression_compile(reader, &written, PHASE_REQUEST, &balance->key);
}

static enum status check_balance(struct reader *reader, const struct node *node, void *value)
{
    struct balance_options *balance = value;
    const struct balancer_type *type = balancer_types[balance->by];
    if (type->needs_hash && !balance->key && !type->key)
        return diagnostics_error(reader->diagnostics, node->place,
            arena_format(reader->arena, "%s cookie.session", type->name),
            "\"%s\" needs an expression: whose requests stay together", type->name);
    if (!type->needs_hash && balance->key)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("by: ring-hash"),
            "\"%s\" has no use for a key", type->name);
    if (!type->needs_hash && balance->settings.bound > 0)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("by: ring-hash"),
            "\"%s\" needs no bound: it is for hashes", type->name);
    if (balance->settings.bound > 0 && balance->settings.bound < 1)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("bound: 125%"),
            "not everybody can have less than the average: a bound is 100%% or more");
    return type->needs_hash && !balance->key ? use_usual_key(reader, node, balance) : OK;
}

#define BALANCE(member) offsetof(struct balance_options, member)

static const struct option balance_rows[] = {
    {"by", OPTION_CHOICE, BALANCE(by), .fallback = "least-requests", .choices = balancer_names,
        .help = "The algorithm."},
    {"key", OPTION_EXPRESSION, BALANCE(key),
        .help = "Of hashes: whose requests stay together. Of ip-hash it is client.ip when nothing "
                "is written."},
    {"hash", OPTION_CHOICE, BALANCE(hash), .fallback = "xxhash", .choices = key_hash_names,
        .help = "How the key is hashed; siphash with a secret seed when clients could choose their "
                "keys to do harm."},
    {"seed", OPTION_INTEGER, BALANCE(seed), .fallback = "0", .minimum = 0, .maximum = INT64_MAX,
        .help = "Makes the hash another one; gateways that should choose alike need the same."},
    {"choices", OPTION_INTEGER, BALANCE(settings.choices), .fallback = "2", .minimum = 1,
        .maximum = 16, .help = "Of least-requests and peak-ewma: how many are compared."},
    {"bias", OPTION_SHARE, BALANCE(settings.bias), .fallback = "100%", .minimum = 0,
        .maximum = 1000,
        .help = "Of least-requests where weights differ: how strongly requests in flight count, as "
                "an exponent; 0%: not at all."},
    {"points", OPTION_INTEGER, BALANCE(settings.points), .fallback = "1024", .minimum = 1,
        .maximum = 65536,
        .help = "Of ring-hash: points on the ring for a weight of 1; the more, the more even. "
                "The default makes any ring one of 1024 points or more."},
    {"most", OPTION_INTEGER, BALANCE(settings.most), .fallback = "1048576", .minimum = 1024,
        .maximum = 8388608,
        .help = "Of ring-hash: points in all, 20 bytes each; with more endpoints each gets fewer."},
    {"slots", OPTION_INTEGER, BALANCE(settings.slots), .fallback = "65537", .minimum = 101,
        .maximum = 5000011,
        .help = "Of maglev: slots of its table, a hundred for each endpoint or more; the next "
                "prime is taken."},
    {"bound", OPTION_SHARE, BALANCE(settings.bound), .fallback = "0%", .minimum = 0,
        .maximum = 1000,
        .help = "Of hashes: how many requests in flight an endpoint may have, of what all have on "
                "average; what is more goes elsewhere. 120% to 200% is usual; 0%: any number."},
    {NULL}};

const struct option_table balance_table = {.name = "balance",
    .help = "How one of the endpoints is chosen: the name of an algorithm, with an expression "
            "behind it if it goes by a hash. \"hash\" is short for ring-hash.",
    .options = balance_rows,
    .size = sizeof(struct balance_options),
    .read_phrase = read_balance,
    .check = check_balance,
    .example = "ring-hash cookie.session"};

/* --- slow start */

static const struct option slow_start_rows[] = {
    {"time", OPTION_DURATION, offsetof(struct slow_start_options, time), .fallback = "10s",
        .minimum = 0, .maximum = DAY,
        .help = "Until it gets its whole share; it begins with a tenth. 0s: at once."},
    {"aggression", OPTION_SHARE, offsetof(struct slow_start_options, aggression),
        .fallback = "100%", .minimum = 1, .maximum = 1000,
        .help = "How its share grows: 100% evenly, more: faster at first."},
    {NULL}};

const struct option_table slow_start_table = {.name = "slow-start",
    .help = "An endpoint that comes back gets its share little by little: it is often cold, or not "
            "as well as it seems. Where this is written, so does one that is new among others. "
            "Nobody starts slowly when the gateway does.",
    .options = slow_start_rows,
    .size = sizeof(struct slow_start_options),
    .shorthand = "time",
    .example = "30s"};

/* --- zone */

#define ZONE(member) offsetof(struct zone_options, member)

static const struct option zone_rows[] = {
    {"own", OPTION_TEXT, ZONE(own), .help = "Where the gateway stands: a zone, or region/zone."},
    {"share", OPTION_SHARE, ZONE(share), .fallback = "0%", .minimum = 0, .maximum = 100,
        .help = "What part of the requests to all gateways comes in through this zone; 0%: an even "
                "part."},
    {"least", OPTION_SHARE, ZONE(least), .fallback = "50%", .minimum = 0, .maximum = 100,
        .help = "The part of the zone's endpoints that must be up for it to be preferred."},
    {"at-least", OPTION_INTEGER, ZONE(at_least), .fallback = "6", .minimum = 0, .maximum = 1000000,
        .help = "Endpoints that must be up in the region for zones to count."},
    {NULL}};

const struct option_table zone_table = {.name = "zone",
    .help = "Prefers endpoints of the gateway's own zone. When it has fewer than its part of the "
            "endpoints, the rest goes to the other zones, as they have room; when most of it is "
            "down, to all of them alike; when nothing of the region is left, to the next region.",
    .options = zone_rows,
    .size = sizeof(struct zone_options),
    .shorthand = "own",
    .example = "${ZONE}"};

/* --- subset */

static const char *const subset_elses[] = {
    [SUBSET_ELSE_ANY] = "any", [SUBSET_ELSE_NONE] = "none", NULL};

/* "LABEL EXPRESSION". */
static enum status read_subset(struct reader *reader, const struct node *node, void *value)
{
    struct subset_options *subset = value;
    if (node->kind != NODE_SCALAR)
        return NOT_FOUND;
    size_t behind = split_name(node->text, &subset->label), left = node->text.size - behind;
    if (left == 0)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("version header.x-version"),
            "a subset is a label and an expression that says which value of it is wanted");
    return expression_compile_part(reader, node, behind, left, PHASE_REQUEST, &subset->by);
}

#define SUBSET(member) offsetof(struct subset_options, member)

static const struct option subset_rows[] = {
    {"label", OPTION_TEXT, SUBSET(label), .is_required = true,
        .help = "A label that endpoints have."},
    {"by", OPTION_EXPRESSION, SUBSET(by), .is_required = true,
        .help = "Which value of it a request wants; when it is missing, all endpoints will do."},
    {"else", OPTION_CHOICE, SUBSET(otherwise), .fallback = "any", .choices = subset_elses,
        .help = "Who is asked when no endpoint has that value, or none of those is left: any of "
                "them, or none, so that the request fails."},
    {NULL}};

const struct option_table subset_table = {.name = "subset",
    .help = "Requests are balanced among the endpoints that have a certain label alone.",
    .options = subset_rows,
    .size = sizeof(struct subset_options),
    .read_phrase = read_subset,
    .example = "version header.x-version"};

static bool has_label(const struct endpoint_options *endpoint, struct slice label)
{
    for (size_t i = 0; i < endpoint->labels.count; i++)
        if (slice_equal(endpoint->labels.entries[i].key, label))
            return true;
    return false;
}

enum status subset_check(
    struct reader *reader, const struct node *node, const struct service_options *options)
{
    const struct endpoint_options *items = options->at.items;
    for (size_t i = 0; i < options->at.count; i++)
        if (items[i].at.source || has_label(&items[i], options->subset.label))
            return OK;
    struct slice label = slice_head(options->subset.label, 100);
    return diagnostics_error(reader->diagnostics, node->place,
        arena_format(reader->arena, "{address: 10.0.0.1:80, labels: {%.*s: v2}}", SLICE_ARG(label)),
        "no endpoint has the label \"%.*s\" that `subset` goes by", SLICE_ARG(label));
}

/* --- sticky */

/* "cookie", "cookie NAME", or the expression whose value is the key of a session. */
static enum status read_sticky(struct reader *reader, const struct node *node, void *value)
{
    struct sticky_options *sticky = value;
    struct slice word;
    if (node->kind != NODE_SCALAR)
        return NOT_FOUND;
    size_t behind = split_name(node->text, &word);
    if (!slice_equal(word, SLICE("cookie")))
        return expression_compile(reader, node, PHASE_REQUEST, &sticky->by);
    if (behind < node->text.size)
        sticky->cookie = slice_from(node->text, behind);
    return OK;
}

static enum status check_sticky(struct reader *reader, const struct node *node, void *value)
{
    const struct sticky_options *sticky = value;
    if (!cookie_name_is_valid(sticky->cookie))
        return diagnostics_error(reader->diagnostics, node->place, SLICE("cookie session-at"),
            "\"%.*s\" cannot be the name of a cookie", SLICE_ARG(slice_head(sticky->cookie, 100)));
    if (sticky->learn && !sticky->by)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("{by: header.x-session, learn: response.header.x-session}"),
            "`learn` needs `by`: how requests of that session name it");
    if (sticky->by && sticky->timeout == 0)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("timeout: 1h"),
            "a session that is remembered here must be forgotten some day");
    return OK;
}

#define STICKY(member) offsetof(struct sticky_options, member)

static const struct option sticky_rows[] = {
    {"by", OPTION_EXPRESSION, STICKY(by),
        .help = "What a session is known by: header.x-session, header.authorization, cookie.sid, "
                "client.ip. Nothing: by a cookie that the gateway sets."},
    {"cookie", OPTION_TEXT, STICKY(cookie), .fallback = "weir-at",
        .help = "The name of the gateway's cookie, which is signed and says nothing of the "
                "endpoint."},
    {"secret", OPTION_SECRET, STICKY(secret),
        .help = "What it is signed with, the same at all gateways, or {file: sticky.secret}; "
                "nothing: each draws one when it starts."},
    {"timeout", OPTION_DURATION, STICKY(timeout), .fallback = "1h", .minimum = 0,
        .maximum = 365 * DAY,
        .help = "A session is forgotten so long after its last request, the gateway's cookie so "
                "long after it was set; 0s, of that cookie: when the browser ends."},
    {"logout", OPTION_EXPRESSION, STICKY(logout),
        .help = "A condition: the session ends with such a request."},
    {"learn", OPTION_EXPRESSION, STICKY(learn), .sees_response = true,
        .help = "The key of a session that an answer begins: response.header.x-session. It stays "
                "with the endpoint that gave this answer."},
    {"keys", OPTION_INTEGER, STICKY(keys), .fallback = "65536", .minimum = 64, .maximum = 1 << 28,
        .help = "How many sessions are remembered at a time, 16 bytes each."},
    {NULL}};

const struct option_table sticky_table = {.name = "sticky",
    .help = "Requests of a session stay with the endpoint that its first one came to, until that "
            "dies, the session ends, or nothing is heard of it for a while: \"cookie\" for a "
            "cookie of the gateway's, or an expression. Sessions begin as `balance` says.",
    .options = sticky_rows,
    .size = sizeof(struct sticky_options),
    .read_phrase = read_sticky,
    .check = check_sticky,
    .example = "cookie"};
