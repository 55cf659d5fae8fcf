#include "service/release_options.h"

#include "base/suggest.h"
#include "http/cookie.h"
#include "service/service.h"
#include "service/service_options.h"

/* --- stay */

/* "none", "cookie", "cookie NAME", or the expression whose value is the user. */
static enum status read_stay(struct reader *reader, const struct node *node, void *value)
{
    struct stay_options *stay = value;
    struct slice rest = node->text, word;
    if (node->kind != NODE_SCALAR)
        return NOT_FOUND;
    (void)slice_split(&rest, ' ', &word);
    if (slice_equal(node->text, SLICE("none"))) {
        stay->is_off = true;
        return OK;
    }
    if (!slice_equal(word, SLICE("cookie")))
        return expression_compile(reader, node, PHASE_REQUEST, &stay->by);
    stay->cookie = slice_trim(rest);
    return OK;
}

static void use_usual_cookie(struct stay_options *stay)
{
    if (!stay->by && !stay->is_off && !stay->cookie.size)
        stay->cookie = SLICE("weir-user");
}

static enum status check_stay(struct reader *reader, const struct node *node, void *value)
{
    struct stay_options *stay = value;
    use_usual_cookie(stay);
    if (!stay->cookie.size || cookie_name_is_valid(stay->cookie))
        return OK;
    return diagnostics_error(reader->diagnostics, node->place, SLICE("cookie weir-user"),
        "\"%.*s\" cannot be the name of a cookie", SLICE_ARG(slice_head(stay->cookie, 100)));
}

#define STAY(member) offsetof(struct stay_options, member)

static const struct option stay_rows[] = {
    {"by", OPTION_EXPRESSION, STAY(by),
        .help = "What a user is known by: claims.sub, cookie.session, header.x-user. Nothing: by "
                "the gateway's cookie."},
    {"cookie", OPTION_TEXT, STAY(cookie),
        .help = "The gateway's cookie, a random number, which is set for whom `by` says nothing "
                "of. Without `by` it is weir-user, with it there is none unless it is named."},
    {"time", OPTION_DURATION, STAY(time), .fallback = "30d", .minimum = MINUTE,
        .maximum = 365 * DAY, .help = "How long browsers keep the cookie."},
    {NULL}};

const struct option_table stay_table = {.name = "stay",
    .help = "Users stay with the version that they had: \"cookie\" by a cookie of the gateway's, "
            "an expression for what they are known by, or \"none\", so that each request is drawn "
            "for itself.",
    .options = stay_rows,
    .size = sizeof(struct stay_options),
    .read_phrase = read_stay,
    .check = check_stay,
    .example = "claims.sub"};

/* --- versions */

enum status versions_keep(struct reader *reader, const struct node *node, void *ret_value)
{
    if (node->kind != NODE_MAP || node->count == 0 || node->count > VERSIONS_MAX)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("{v1: 10.0.0.1:80, v2: {at: 10.0.0.2:80, share: 10%}}"),
            "versions are a map of 1 to %d names", VERSIONS_MAX);
    *(const struct node **)ret_value = node;
    return OK;
}

/* What is said of the whole, and not of each of its versions. */
static bool is_of_the_whole(struct slice key)
{
    static const char *const keys[] = {"versions", "stay", "mirror", "judge"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (slice_equal(key, slice_of_text(keys[i])))
            return true;
    return false;
}

static bool has_key(const struct node *map, struct slice key)
{
    return node_get(map, key) != NULL;
}

/* A version that is no map says where it is. */
static struct node *as_map(struct arena *arena, const struct node_entry *version)
{
    struct node *map = arena_new(arena, struct node);
    struct node_entry *entry = arena_new(arena, struct node_entry);
    if (!map || !entry)
        return NULL;
    *entry = (struct node_entry){SLICE("at"), version->key_place, version->value};
    *map = (struct node){
        .kind = NODE_MAP, .place = version->value->place, .entries = entry, .count = 1};
    return map;
}

/* The version with what stands beside `versions`, where it does not say otherwise itself. */
static struct node *merge(
    struct arena *arena, const struct node *service, const struct node_entry *version)
{
    const struct node empty = {.kind = NODE_MAP, .place = version->key_place};
    const struct node *own = version->value;
    if (own->kind == NODE_NULL)
        own = &empty;
    else if (own->kind != NODE_MAP)
        own = as_map(arena, version);
    struct node *merged = arena_new(arena, struct node);
    if (!own || !merged)
        return NULL;
    *merged = (struct node){.kind = NODE_MAP, .place = version->key_place};
    merged->entries = arena_array(arena, own->count + service->count, sizeof *merged->entries);
    if (!merged->entries)
        return NULL;
    for (size_t i = 0; i < own->count; i++)
        merged->entries[merged->count++] = own->entries[i];
    for (size_t i = 0; i < service->count; i++)
        if (!is_of_the_whole(service->entries[i].key) && !has_key(own, service->entries[i].key))
            merged->entries[merged->count++] = service->entries[i];
    return merged;
}

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return name.size > 0 && name.size <= 64;
}

static enum status check_version(struct reader *reader, const struct version_options *version)
{
    const struct release_options *own = &version->service->release;
    if (!is_name(version->name))
        return diagnostics_error(reader->diagnostics, version->place, SLICE("v2"),
            "a version's name has letters, digits, \"-\" and \"_\"");
    if (own->written)
        return diagnostics_error(reader->diagnostics, own->written->place, SLICE_NONE,
            "a version has no versions of its own");
    return OK;
}

static enum status read_version(struct reader *reader, const struct node *service,
    const struct node_entry *entry, struct version_options *version)
{
    struct slice outer = reader->subject;
    struct node *merged = merge(reader->arena, service, entry);
    version->name = entry->key;
    version->place = entry->key_place;
    version->service = arena_new(reader->arena, struct service_options);
    reader->subject = arena_format(
        reader->arena, "version \"%.*s\" of %.*s", SLICE_ARG(entry->key), SLICE_ARG(outer));
    if (!merged || !version->service || !reader->subject.data)
        return NO_MEMORY;
    version->service->release.is_version = true;
    enum status e = option_read(reader, &service_table, merged, version->service);
    reader->subject = outer;
    if (e == NO_MEMORY)
        return e;
    version->has_share = version->service->release.has_share;
    version->share = version->service->release.share;
    return check_version(reader, version);
}

/* --- shares */

/* Who says neither a share nor a condition gets a part of what is left. */
static bool takes_rest(const struct version_options *version)
{
    return !version->has_share && !version->service->release.when;
}

static enum status share_out(struct reader *reader, struct release_options *release)
{
    double sum = 0;
    size_t takers = 0;
    for (size_t i = 0; i < release->count; i++) {
        struct version_options *version = &release->versions[i];
        takers += takes_rest(version);
        sum += version->share;
        if (sum > 1 + 1e-9)
            return diagnostics_error(reader->diagnostics, version->service->release.share_place,
                SLICE("one of them needs no share: it gets the rest"),
                "the versions have %.4g%% together", sum * 100);
    }
    double rest = sum < 1 ? 1 - sum : 0;
    if (!takers && rest > 1e-9)
        return diagnostics_error(reader->diagnostics, release->written->place,
            SLICE("leave the share of one of them away: it gets the rest"),
            "no version is left for the other %.4g%%", rest * 100);
    for (size_t i = 0; i < release->count; i++)
        if (takes_rest(&release->versions[i]))
            release->versions[i].share = rest / (double)takers;
    return OK;
}

/* --- the judge */

static enum status find_named(struct reader *reader, struct release_options *release)
{
    const struct judge_options *judge = &release->judge;
    struct suggestion suggestion;
    suggest_begin(&suggestion, judge->against);
    for (size_t i = 0; i < release->count; i++) {
        release->old = i;
        if (slice_equal(release->versions[i].name, judge->against))
            return OK;
        suggest_offer(&suggestion, release->versions[i].name);
    }
    struct slice hint = suggestion.best;
    if (hint.size)
        hint = arena_format(reader->arena, "did you mean \"%.*s\"?", SLICE_ARG(hint));
    return diagnostics_error(reader->diagnostics, judge->place, hint,
        "there is no version \"%.*s\"", SLICE_ARG(slice_head(judge->against, 100)));
}

static enum status find_old(struct reader *reader, struct release_options *release)
{
    size_t takers = 0;
    if (release->judge.against.size)
        return find_named(reader, release);
    for (size_t i = 0; i < release->count; i++) {
        if (!takes_rest(&release->versions[i]))
            continue;
        release->old = i;
        takers++;
    }
    if (takers == 1)
        return OK;
    return diagnostics_error(reader->diagnostics, release->judge_place, SLICE("against: v1"),
        "the judge cannot tell which version is the old one");
}

enum status versions_read(
    struct reader *reader, const struct node *node, struct service_options *options)
{
    struct release_options *release = &options->release;
    const struct node *written = release->written;
    size_t errors = reader->diagnostics->errors;
    use_usual_cookie(&release->stay); /* when nothing is written of it */
    release->versions = arena_array(reader->arena, written->count, sizeof *release->versions);
    if (!release->versions)
        return NO_MEMORY;
    for (size_t i = 0; i < written->count; i++) {
        enum status e =
            read_version(reader, node, &written->entries[i], &release->versions[release->count]);
        if (e == NO_MEMORY)
            return e;
        release->count++;
    }
    if (reader->diagnostics->errors != errors)
        return OK;
    enum status e = share_out(reader, release);
    return !e && release->judge.is_set ? find_old(reader, release) : e;
}

enum status version_check(struct reader *reader, const struct service_options *options)
{
    const struct release_options *own = &options->release;
    if (own->judge.is_set)
        return diagnostics_error(reader->diagnostics, own->judge_place, SLICE_NONE,
            "only a service with versions has a judge");
    if (own->is_version || (!own->has_share && !own->when))
        return OK;
    return diagnostics_error(reader->diagnostics,
        own->has_share ? own->share_place : own->when_place,
        SLICE("{versions: {v1: 10.0.0.1:80, v2: {at: 10.0.0.2:80, share: 10%}}}"),
        "only a version has %s", own->has_share ? "a share" : "a condition");
}
