#include "policy/policy.h"

#include "config/pattern.h"
#include "policy/cors_origin.h"

/* Cross-origin resource sharing, as the Fetch standard wants it of a server. The gateway speaks for
 * the service: what that says about sharing is taken away.
 *
 * A preflight (OPTIONS with Origin and Access-Control-Request-Method) is answered here. From an
 * origin that is not allowed it gets 403 with the reason cors-denied. One that asks for a method or
 * a field that is not allowed gets 204 with the lists of those that are: the browser then says
 * which one it missed.
 *
 * Any other request goes on, whatever its origin: sharing says who may *read* an answer in a
 * browser, not who may ask. An answer that depends on the origin says so in Vary, also when this
 * request has none; else a cache would hand the answer without the fields to a page that needs
 * them.
 *
 * `*` and credentials do not go together: browsers refuse that. What is allowed with credentials
 * has to be listed. */

struct cors {
    struct option_list origins;                  /* of struct slice */
    struct option_list patterns;                 /* of struct pattern * */
    struct option_list methods, headers, expose; /* of struct slice */
    int64_t max_age;
    bool has_credentials, has_private_network;
    bool is_for_all; /* "*" is among the origins */
    struct origin_pattern *allowed;
    size_t allowed_count;
    struct slice methods_text, headers_text, expose_text, max_age_text;
};

static const struct option text_item = {.name = "name", .kind = OPTION_TEXT};
static const struct option pattern_item = {.name = "pattern", .kind = OPTION_PATTERN};

static const struct option options[] = {
    {"origins", OPTION_LIST, offsetof(struct cors, origins), .item = &text_item,
        .item_size = sizeof(struct slice),
        .help = "Whose pages may read answers: https://shop.example, https://*.shop.example, "
                "http://localhost:*, null, or * for all."},
    {"patterns", OPTION_LIST, offsetof(struct cors, patterns), .item = &pattern_item,
        .item_size = sizeof(struct pattern *),
        .help = "Regular expressions for further origins; one has to match the whole origin."},
    {"methods", OPTION_LIST, offsetof(struct cors, methods), .item = &text_item,
        .item_size = sizeof(struct slice), .fallback = "[GET, HEAD, POST]",
        .help = "Methods that pages may use, or * for all."},
    {"headers", OPTION_LIST, offsetof(struct cors, headers), .item = &text_item,
        .item_size = sizeof(struct slice),
        .help = "Fields that pages may send, or * for all but Authorization."},
    {"expose", OPTION_LIST, offsetof(struct cors, expose), .item = &text_item,
        .item_size = sizeof(struct slice),
        .help = "Fields of answers that pages may read besides the usual ones, or * for all."},
    {"credentials", OPTION_FLAG, offsetof(struct cors, has_credentials), .fallback = "false",
        .help = "Whether pages may send cookies and read what comes back."},
    {"max-age", OPTION_DURATION, offsetof(struct cors, max_age), .fallback = "5m", .minimum = 0,
        .maximum = DAY, .help = "How long browsers may remember a preflight."},
    {"private-network", OPTION_FLAG, offsetof(struct cors, has_private_network),
        .fallback = "false",
        .help = "Whether pages of public sites may call into a private network."},
    {NULL},
};

static bool has_star(const struct option_list *list)
{
    const struct slice *items = list->items;
    for (size_t i = 0; i < list->count; i++)
        if (slice_equal(items[i], SLICE("*")))
            return true;
    return false;
}

/* The node of the i-th value of an option, for its place. */
static struct place value_place(const struct node *node, struct slice option, size_t i)
{
    const struct node *value = node->kind == NODE_MAP ? node_get(node, option) : node;
    if (value && value->kind == NODE_LIST && i < value->count)
        return value->items[i]->place;
    return value ? value->place : node->place;
}

static enum status check_origins(struct reader *reader, const struct node *node, struct cors *cors)
{
    enum status outcome = OK;
    const struct slice *origins = cors->origins.items;
    cors->allowed = arena_array(reader->arena, cors->origins.count + 1, sizeof *cors->allowed);
    if (!cors->allowed)
        return NO_MEMORY;
    for (size_t i = 0; i < cors->origins.count; i++) {
        const char *problem;
        if (slice_equal(origins[i], SLICE("*")))
            cors->is_for_all = true;
        else if (origin_pattern_parse(origins[i], &cors->allowed[cors->allowed_count], &problem))
            outcome = diagnostics_error(reader->diagnostics, value_place(node, SLICE("origins"), i),
                SLICE_NONE, "\"%.*s\" is no origin: %s", SLICE_ARG(origins[i]), problem);
        else
            cors->allowed_count++;
    }
    if (cors->origins.count + cors->patterns.count == 0)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("add \"origins: https://shop.example\""), "a cors policy needs \"origins\"");
    return outcome;
}

static enum status check_tokens(struct reader *reader, const struct node *node,
    const struct option_list *list, const char *option)
{
    enum status outcome = OK;
    const struct slice *items = list->items;
    for (size_t i = 0; i < list->count; i++)
        if (!field_name_is_valid(items[i]))
            outcome =
                diagnostics_error(reader->diagnostics, value_place(node, slice_of_text(option), i),
                    SLICE_NONE, "\"%.*s\" cannot stand under \"%s\"", SLICE_ARG(items[i]), option);
    return outcome;
}

static enum status check_stars(
    struct reader *reader, const struct node *node, const struct cors *cors)
{
    const struct {
        const struct option_list *list;
        const char *name;
    } lists[] = {{&cors->origins, "origins"}, {&cors->methods, "methods"},
        {&cors->headers, "headers"}, {&cors->expose, "expose"}};
    enum status outcome = OK;
    for (size_t i = 0; cors->has_credentials && i < sizeof lists / sizeof lists[0]; i++)
        if (has_star(lists[i].list))
            outcome = diagnostics_error(reader->diagnostics,
                value_place(node, slice_of_text(lists[i].name), 0), SLICE("list them"),
                "with credentials browsers take \"*\" under \"%s\" for a name of one star",
                lists[i].name);
    return outcome;
}

static struct slice join(struct arena *arena, const struct option_list *list)
{
    const struct slice *items = list->items;
    struct slice joined = list->count ? items[0] : SLICE("");
    for (size_t i = 1; i < list->count && joined.data; i++)
        joined = arena_join(arena, (const struct slice[]){joined, SLICE(", "), items[i]}, 3);
    return joined;
}

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    struct cors *cors = value;
    enum status results[] = {check_origins(reader, node, cors),
        check_tokens(reader, node, &cors->methods, "methods"),
        check_tokens(reader, node, &cors->headers, "headers"),
        check_tokens(reader, node, &cors->expose, "expose"), check_stars(reader, node, cors)};
    cors->methods_text = join(reader->arena, &cors->methods);
    cors->headers_text = join(reader->arena, &cors->headers);
    cors->expose_text = join(reader->arena, &cors->expose);
    cors->max_age_text = arena_format(reader->arena, "%lld", (long long)(cors->max_age / SECOND));
    if (!cors->methods_text.data || !cors->headers_text.data || !cors->expose_text.data ||
        !cors->max_age_text.data)
        return NO_MEMORY;
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++)
        if (results[i])
            return results[i];
    return OK;
}

static const struct option_table table = {
    .name = "cors",
    .help =
        "Lets pages of other origins read answers (cross-origin resource sharing). Preflights are "
        "answered by the gateway.",
    .options = options,
    .size = sizeof(struct cors),
    .shorthand = "origins",
    .check = check,
    .example = "cors: {origins: [https://shop.example], methods: [GET, PUT], credentials: true}",
};

/* --- serving */

static bool is_allowed(const struct cors *cors, struct slice origin)
{
    if (cors->is_for_all)
        return true;
    for (size_t i = 0; i < cors->allowed_count; i++)
        if (origin_matches(&cors->allowed[i], origin))
            return true;
    struct pattern *const *patterns = cors->patterns.items;
    struct slice groups[PATTERN_GROUPS_MAX];
    for (size_t i = 0; i < cors->patterns.count; i++)
        if (pattern_match(patterns[i], origin, true, groups) == OK)
            return true;
    return false;
}

/* The request's origin; null data when there is none, or several, of which none can be believed. */
static struct slice origin_of(const struct exchange *x)
{
    const struct field *first = fields_find(&x->request.fields, FIELD_ORIGIN);
    if (!first || fields_next(&x->request.fields, FIELD_ORIGIN, first))
        return SLICE_NONE;
    return first->value;
}

static enum status add_vary(struct fields *fields, struct slice name)
{
    if (fields_list_has(fields, FIELD_VARY, name) ||
        fields_list_has(fields, FIELD_VARY, SLICE("*")))
        return OK;
    return fields_add_known(fields, FIELD_VARY, name);
}

/* Names the origin and whether it may use credentials. */
static enum status allow_origin(const struct cors *cors, struct slice origin, struct fields *fields)
{
    enum status e =
        fields_set_known(fields, FIELD_AC_ALLOW_ORIGIN, cors->is_for_all ? SLICE("*") : origin);
    if (!e && cors->has_credentials)
        e = fields_set_known(fields, FIELD_AC_ALLOW_CREDENTIALS, SLICE("true"));
    return e;
}

static bool is_preflight(const struct exchange *x)
{
    return x->request.method == METHOD_OPTIONS && fields_has(&x->request.fields, FIELD_ORIGIN) &&
           fields_find(&x->request.fields, FIELD_AC_REQUEST_METHOD);
}

static enum status allow_private_network(const struct cors *cors, struct exchange *x)
{
    struct slice asked = fields_value(&x->request.fields, FIELD_AC_REQUEST_PRIVATE_NETWORK);
    if (!cors->has_private_network)
        return OK;
    enum status e = add_vary(&x->response.fields, field_name(FIELD_AC_REQUEST_PRIVATE_NETWORK));
    if (e || !slice_equal(asked, SLICE("true")))
        return e;
    return fields_add_known(&x->response.fields, FIELD_AC_ALLOW_PRIVATE_NETWORK, SLICE("true"));
}

static enum status answer_preflight(const struct cors *cors, struct exchange *x)
{
    struct fields *fields = &x->response.fields;
    struct slice origin = origin_of(x);
    if (!origin.data || !is_allowed(cors, origin)) {
        enum status e = add_vary(fields, SLICE("Origin"));
        return e ? e : CORS_DENIED;
    }
    enum status e = exchange_respond(x, 204, SLICE_NONE, SLICE_NONE);
    if (!e)
        e = fields_add_known(fields, FIELD_VARY,
            SLICE("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"));
    if (!e)
        e = allow_origin(cors, origin, fields);
    if (!e)
        e = fields_add_known(fields, FIELD_AC_ALLOW_METHODS, cors->methods_text);
    if (!e && cors->headers_text.size)
        e = fields_add_known(fields, FIELD_AC_ALLOW_HEADERS, cors->headers_text);
    if (!e)
        e = fields_add_known(fields, FIELD_AC_MAX_AGE, cors->max_age_text);
    return e ? e : allow_private_network(cors, x);
}

static void remove_foreign(struct fields *fields)
{
    static const enum field_id ids[] = {FIELD_AC_ALLOW_ORIGIN, FIELD_AC_ALLOW_CREDENTIALS,
        FIELD_AC_ALLOW_METHODS, FIELD_AC_ALLOW_HEADERS, FIELD_AC_ALLOW_PRIVATE_NETWORK,
        FIELD_AC_EXPOSE_HEADERS, FIELD_AC_MAX_AGE};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        fields_remove_known(fields, ids[i]);
}

/* Marks the answer, also a failure's: a page that may read answers may read why there is none. What
 * is for all is marked whoever asks, so that a cache may hand it to anybody. */
static enum status mark_answer(const struct cors *cors, struct exchange *x)
{
    struct fields *fields = &x->response.fields;
    struct slice origin = origin_of(x);
    remove_foreign(fields);
    if (!cors->is_for_all) {
        enum status e = add_vary(fields, SLICE("Origin"));
        if (e || !origin.data || !is_allowed(cors, origin))
            return e;
    }
    enum status e = allow_origin(cors, origin, fields);
    if (!e && cors->expose_text.size)
        e = fields_add_known(fields, FIELD_AC_EXPOSE_HEADERS, cors->expose_text);
    return e;
}

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    const struct cors *cors = config;
    if (is_preflight(x))
        return answer_preflight(cors, x);
    enum status e = handler_serve(next, x);
    enum status marked = mark_answer(cors, x);
    return e ? e : marked;
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    const struct cors *cors = config;
    struct slice origin = origin_of(x);
    if (!origin.data)
        text_add_literal(text, "no origin");
    else
        text_format(text, "%s %.*s", is_allowed(cors, origin) ? "allows" : "does not allow",
            SLICE_ARG(origin));
    if (is_preflight(x))
        text_add_literal(text, "; answers the preflight");
}

const struct policy_type cors_policy = {
    .name = "cors",
    .plural = "cors",
    .options = &table,
    .serve = serve,
    .explain = explain,
};
