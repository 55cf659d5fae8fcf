#include "config/expression.h"
#include "handler/handler.h"
#include "http/uri.h"

/* Sends clients elsewhere. The usual code is 307: it is not remembered, so that a mistake can be
 * mended, and it keeps the method and the body of what was sent. 308 is its permanent twin; 301,
 * 302 and 303 make clients ask with GET.
 *
 * What comes in by ${…} is put into a Location as data: bytes that no URI has are encoded, and a
 * target that was written as a path on this host stays one, however many slashes a client sends. */

struct target {
    struct template *template;
    struct slice source; /* as written */
};

struct redirect {
    struct target to;
    int code; /* index into `codes` */
    bool keeps_query;
};

static const char *const codes[] = {"301", "302", "303", "307", "308", NULL};
static const int code_numbers[] = {301, 302, 303, 307, 308};

static enum status read_target(struct reader *reader, const struct node *node, void *ret_value)
{
    struct target *target = ret_value;
    if (node->kind == NODE_SCALAR && node->text.size == 0)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("for example https://shop.example${path}"), "a redirect needs a target");
    target->source = node->text;
    return template_compile(reader, node, PHASE_REQUEST, &target->template);
}

static const struct option options[] = {
    {"to", OPTION_CUSTOM, offsetof(struct redirect, to), .is_required = true, .read = read_target,
        .form = "https://shop.example${path}", .schema = "{\"type\":\"string\"}",
        .help = "Where to: a URI or a path, with ${expressions}."},
    {"code", OPTION_CHOICE, offsetof(struct redirect, code), .choices = codes, .fallback = "307",
        .help = "308 and 301 are remembered by clients; 301, 302 and 303 turn what they send into "
                "a GET."},
    {"keep-query", OPTION_FLAG, offsetof(struct redirect, keeps_query), .fallback = "false",
        .help = "Whether the request's parameters are put behind the target."},
    {NULL},
};

static const struct option_table table = {
    .name = "redirect",
    .help = "Sends clients elsewhere.",
    .options = options,
    .size = sizeof(struct redirect),
    .shorthand = "to",
    .example = "redirect: {to: \"https://shop.example${path}\", code: 308, keep-query: true}",
};

/* Escapes that are there stay. */
static bool is_uri_byte(char c)
{
    return c > 0x20 && c < 0x7f && !strchr("\"<>\\^`{|}", c);
}

/* "//other.example" names another host: only if it was written so. */
static struct slice stay_here(const struct target *target, struct slice location)
{
    if (!slice_has_prefix(target->source, SLICE("//")))
        while (slice_has_prefix(location, SLICE("//")))
            location = slice_from(location, 1);
    return location;
}

/* Puts the query behind the target's own, before its fragment. */
static struct slice with_query(struct arena *arena, struct slice location, struct slice query)
{
    size_t end = slice_find(location, '#');
    struct slice front = slice_head(location, end);
    struct slice separator = slice_find(front, '?') < front.size ? SLICE("&") : SLICE("?");
    return arena_join(
        arena, (const struct slice[]){front, separator, query, slice_from(location, end)}, 4);
}

static struct slice location_of(const struct redirect *redirect, struct exchange *x)
{
    struct slice location = template_render(redirect->to.template, x);
    if (location.data)
        location = uri_escape(&x->arena, location, is_uri_byte);
    if (location.data)
        location = stay_here(&redirect->to, location);
    if (location.data && redirect->keeps_query && x->request.query.size)
        location = with_query(&x->arena, location, x->request.query);
    return location;
}

static enum status serve(const void *config, struct exchange *x)
{
    const struct redirect *redirect = config;
    struct slice location = location_of(redirect, x);
    if (!location.data)
        return NO_MEMORY;
    enum status e = exchange_respond(x, code_numbers[redirect->code], SLICE_NONE, SLICE_NONE);
    return e ? e : fields_add_known(&x->response.fields, FIELD_LOCATION, location);
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    const struct redirect *redirect = config;
    text_format(text, "redirects with %s to %.*s", codes[redirect->code],
        SLICE_ARG(location_of(redirect, x)));
}

const struct handler_type redirect_handler = {
    .name = "redirect",
    .options = &table,
    .serve = serve,
    .explain = explain,
};
