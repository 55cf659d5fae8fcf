#include "policy/policy.h"

#include "config/expression.h"
#include "config/pattern.h"
#include "http/uri.h"

/* Changes where a request goes, before the service sees it, in this order: `strip-prefix`, `path`,
 * `add-prefix`, `query`, `host`.
 *
 * Whatever comes in by a template is data: it is encoded, and a path that would have dot segments
 * is refused (400, bad-path), so that no value from outside can lead out of where the configuration
 * points. A pattern works on the path as it is sent, encoded. */

struct replacement {
    struct template *text; /* NULL: by pattern, or none */
    struct pattern *match; /* NULL: none */
    struct slice with;
};

struct query_edits {
    struct option_list remove; /* of struct slice */
    struct option_map set;     /* of struct template * */
};

struct rewrite {
    struct slice strip_prefix, add_prefix;
    struct replacement path;
    struct query_edits query;
    struct template *host;
};

/* --- options */

static const struct option replacement_options[] = {
    {"match", OPTION_PATTERN, offsetof(struct replacement, match), .is_required = true,
        .help = "A regular expression; a path in which it is not found stays as it is."},
    {"with", OPTION_TEXT, offsetof(struct replacement, with), .is_required = true,
        .help = "What stands in place of the match; $1 is its first group."},
    {NULL},
};

static const struct option_table replacement_table = {
    .name = "path",
    .help = "Replaces the first match of a pattern in the path.",
    .options = replacement_options,
    .size = sizeof(struct replacement),
};

static enum status read_path(struct reader *reader, const struct node *node, void *ret_value)
{
    struct replacement *path = ret_value;
    if (node->kind != NODE_MAP)
        return template_compile(reader, node, PHASE_REQUEST, &path->text);
    enum status e = option_read(reader, &replacement_table, node, path);
    if (e || !path->match)
        return e;
    const struct node *with = node_get(node, SLICE("with"));
    struct place place = with ? with->place : node->place;
    const char *problem;
    size_t offset;
    if (slice_find(path->with, '?') < path->with.size)
        return diagnostics_error(reader->diagnostics, place, SLICE_NONE,
            "a path has no \"?\"; use \"query\" to change parameters");
    if (pattern_check_replacement(path->match, path->with, &problem, &offset))
        return diagnostics_error(reader->diagnostics, place, SLICE_NONE,
            "\"%.*s\" at character %zu: %s", SLICE_ARG(slice_head(path->with, 100)), offset + 1,
            problem);
    return OK;
}

static const struct option name_item = {.name = "name", .kind = OPTION_TEXT};
static const struct option value_item = {.name = "value", .kind = OPTION_TEMPLATE};

static const struct option query_options[] = {
    {"remove", OPTION_LIST, offsetof(struct query_edits, remove), .item = &name_item,
        .item_size = sizeof(struct slice), .help = "Parameters to take away."},
    {"set", OPTION_MAP, offsetof(struct query_edits, set), .item = &value_item,
        .item_size = sizeof(struct template *),
        .help = "Parameters to put in place of those that are there."},
    {NULL},
};

static const struct option_table query_table = {
    .name = "query",
    .help = "Changes the parameters behind the question mark.",
    .options = query_options,
    .size = sizeof(struct query_edits),
};

static const struct option options[] = {
    {"strip-prefix", OPTION_TEXT, offsetof(struct rewrite, strip_prefix),
        .help = "Whole segments to take off the path's front, where they are there."},
    {"path", OPTION_CUSTOM, offsetof(struct rewrite, path), .read = read_path,
        .form = "/new/${path.id}, or {match: ^/v1/(.*), with: /v2/$1}",
        .schema =
            "{\"type\":[\"string\",\"object\"],\"properties\":{\"match\":{\"type\":\"string\"},"
            "\"with\":{\"type\":\"string\"}},\"additionalProperties\":false}",
        .help = "Another path, or what to replace in it."},
    {"add-prefix", OPTION_TEXT, offsetof(struct rewrite, add_prefix),
        .help = "What to put before the path."},
    {"query", OPTION_STRUCT, offsetof(struct rewrite, query), .table = &query_table,
        .help = "Changes to the parameters."},
    {"host", OPTION_TEMPLATE, offsetof(struct rewrite, host),
        .help = "Another Host for the service to see."},
    {NULL},
};

/* "/a/b/" and "/a/b" are the same prefix: the former is cut. */
static enum status check_prefix(
    struct reader *reader, const struct node *node, const char *option, struct slice *prefix)
{
    const struct node *value = node_get(node, slice_of_text(option));
    if (!prefix->data)
        return OK;
    struct slice normal;
    if (prefix->size == 0 || prefix->data[0] != '/' ||
        uri_normalise_path(reader->arena, *prefix, ENCODED_SLASH_KEEP, &normal))
        return diagnostics_error(reader->diagnostics, value ? value->place : node->place,
            SLICE("for example /api"), "\"%s\" is a path that begins with a slash", option);
    while (normal.size && normal.data[normal.size - 1] == '/')
        normal.size--;
    *prefix = normal;
    return OK;
}

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    struct rewrite *rewrite = value;
    enum status e = check_prefix(reader, node, "strip-prefix", &rewrite->strip_prefix);
    enum status f = check_prefix(reader, node, "add-prefix", &rewrite->add_prefix);
    return e ? e : f;
}

static const struct option_table table = {
    .name = "rewrite",
    .help = "Changes the path, the parameters or the host before the service sees them.",
    .options = options,
    .size = sizeof(struct rewrite),
    .check = check,
    .example = "rewrite: {strip-prefix: /api, query: {remove: debug}}",
};

/* --- the path */

/* RFC 3986 §3.3. */
static bool is_path_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~!$&'()*+,;=:@/", c));
}

static bool has_dot_segment(struct slice path)
{
    struct slice segment;
    while (slice_split(&path, '/', &segment))
        if (slice_equal(segment, SLICE(".")) || slice_equal(segment, SLICE("..")))
            return true;
    return false;
}

/* Makes it begin with a slash and be normal; what is not a path any more is BAD_PATH. */
static enum status finish_path(struct exchange *x, struct slice path)
{
    if (path.size == 0 || path.data[0] != '/')
        path = arena_join(&x->arena, (const struct slice[]){SLICE("/"), path}, 2);
    if (!path.data)
        return NO_MEMORY;
    if (has_dot_segment(path) || slice_find(path, '?') < path.size)
        return BAD_PATH;
    struct slice normal;
    enum status e = uri_normalise_path(&x->arena, path, ENCODED_SLASH_KEEP, &normal);
    if (!e)
        x->request.path = normal;
    return e;
}

static struct slice strip(struct slice path, struct slice prefix)
{
    if (!slice_has_prefix(path, prefix))
        return path;
    struct slice rest = slice_of(path.data + prefix.size, path.size - prefix.size);
    return rest.size == 0 || rest.data[0] == '/' ? rest : path;
}

static enum status replace(const struct replacement *how, struct exchange *x, struct slice *path)
{
    if (how->text) {
        struct slice text = template_render(how->text, x);
        *path = text.data ? uri_escape(&x->arena, text, is_path_byte) : SLICE_NONE;
        return path->data ? OK : NO_MEMORY;
    }
    struct slice groups[PATTERN_GROUPS_MAX];
    if (!how->match || pattern_match(how->match, *path, false, groups) != OK)
        return OK;
    return pattern_replace(how->match, *path, how->with, false, &x->arena, path);
}

static enum status rewrite_path(const struct rewrite *rewrite, struct exchange *x)
{
    struct slice path = x->request.path;
    if (slice_equal(path, SLICE("*"))) /* OPTIONS * is about the server, not about a path */
        return OK;
    path = strip(path, rewrite->strip_prefix);
    enum status e = replace(&rewrite->path, x, &path);
    if (!e && rewrite->add_prefix.size) {
        bool needs_slash = path.size && path.data[0] != '/';
        path = arena_join(&x->arena,
            (const struct slice[]){rewrite->add_prefix, needs_slash ? SLICE("/") : SLICE(""), path},
            3);
        e = path.data ? OK : NO_MEMORY;
    }
    return e ? e : finish_path(x, path);
}

/* --- the query */

/* True when a parameter is removed or set anew. An undecodable name is nobody's. */
static enum status is_edited(
    const struct query_edits *edits, struct exchange *x, struct slice raw_name, bool *ret_edited)
{
    struct slice name;
    enum status e = uri_decode(&x->arena, raw_name, true, &name);
    *ret_edited = false;
    if (e)
        return e == INVALID ? OK : e;
    const struct slice *removed = edits->remove.items;
    for (size_t i = 0; i < edits->remove.count; i++)
        *ret_edited |= slice_equal(removed[i], name);
    for (size_t i = 0; i < edits->set.count; i++)
        *ret_edited |= slice_equal(edits->set.entries[i].key, name);
    return OK;
}

static void add_separator(struct text *text)
{
    if (text->size)
        text_add_char(text, '&');
}

static enum status keep_others(
    const struct query_edits *edits, struct exchange *x, struct text *text)
{
    struct slice rest = x->request.query, part;
    while (slice_split(&rest, '&', &part)) {
        bool is_gone;
        enum status e = is_edited(edits, x, slice_head(part, slice_find(part, '=')), &is_gone);
        if (e)
            return e;
        if (!is_gone && part.size) {
            add_separator(text);
            text_add(text, part);
        }
    }
    return OK;
}

static enum status add_set(const struct query_edits *edits, struct exchange *x, struct text *text)
{
    for (size_t i = 0; i < edits->set.count; i++) {
        struct template *const *template = edits->set.entries[i].value;
        struct slice value = template_render(*template, x);
        struct slice name = uri_encode(&x->arena, edits->set.entries[i].key);
        if (value.data)
            value = uri_encode(&x->arena, value);
        if (!value.data || !name.data)
            return NO_MEMORY;
        add_separator(text);
        text_add(text, name);
        text_add_char(text, '=');
        text_add(text, value);
    }
    return OK;
}

static enum status rewrite_query(const struct query_edits *edits, struct exchange *x)
{
    if (edits->remove.count + edits->set.count == 0)
        return OK;
    struct text text = text_growing(0);
    enum status e = keep_others(edits, x, &text);
    if (!e)
        e = add_set(edits, x, &text);
    struct slice query = SLICE_NONE;
    if (!e && text.size) {
        query = text.failed ? SLICE_NONE : arena_copy(&x->arena, text_slice(&text));
        e = query.data ? OK : NO_MEMORY;
    }
    text_release(&text);
    if (!e)
        x->request.query = query;
    return e;
}

/* --- the host */

static enum status rewrite_host(struct template *template, struct exchange *x)
{
    if (!template)
        return OK;
    struct slice authority = template_render(template, x);
    struct slice host;
    uint16_t port;
    enum status e =
        authority.data ? uri_parse_authority(&x->arena, authority, &host, &port) : NO_MEMORY;
    if (e)
        return e;
    x->request.host = host;
    x->request.authority = authority;
    return fields_has(&x->request.fields, FIELD_HOST)
               ? fields_set_known(&x->request.fields, FIELD_HOST, authority)
               : OK;
}

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    const struct rewrite *rewrite = config;
    enum status e = rewrite_path(rewrite, x);
    if (!e)
        e = rewrite_query(&rewrite->query, x);
    if (!e)
        e = rewrite_host(rewrite->host, x);
    return e ? e : handler_serve(next, x);
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    const struct rewrite *rewrite = config;
    struct slice path = x->request.path, query = x->request.query;
    enum status e = rewrite_path(rewrite, x);
    if (!e)
        e = rewrite_query(&rewrite->query, x);
    if (e)
        text_format(text, "refuses: %s", status_word(e));
    else
        text_format(text, "%.*s%s%.*s", SLICE_ARG(x->request.path),
            x->request.query.data ? "?" : "", SLICE_ARG(x->request.query));
    x->request.path = path;
    x->request.query = query;
}

const struct policy_type rewrite_policy = {
    .name = "rewrite",
    .plural = "rewrites",
    .options = &table,
    .serve = serve,
    .explain = explain,
};
