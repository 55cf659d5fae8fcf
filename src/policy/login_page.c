#include "policy/login.h"

#include "http/uri.h"

/* Few pages, without anything that a browser would have to fetch or run. */

#define HEAD                                                                                  \
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"                         \
    "<meta name=\"viewport\" content=\"width=device-width\">\n"                               \
    "<style>body{font:1rem/1.5 system-ui,sans-serif;margin:4rem auto;max-width:24rem;"        \
    "padding:0 1rem}a{display:block;margin:.5rem 0;padding:.6rem 1rem;border:1px solid #888;" \
    "border-radius:.4rem;color:inherit;text-decoration:none}</style>\n"

static enum status answer(struct exchange *x, struct text *text)
{
    struct slice page = text->failed ? SLICE_NONE : arena_copy(&x->arena, text_slice(text));
    text_release(text);
    if (!page.data)
        return NO_MEMORY;
    enum status e = exchange_respond(x, 200, SLICE("text/html; charset=utf-8"), page);
    struct fields *fields = &x->response.fields;
    if (!e)
        e = fields_add_made(fields, FIELD_CACHE_CONTROL, SLICE("no-store"));
    if (!e)
        e = fields_set(fields, SLICE("Content-Security-Policy"),
            SLICE("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; "
                  "base-uri 'none'; form-action 'none'"));
    return e ? e : fields_set(fields, SLICE("Referrer-Policy"), SLICE("no-referrer"));
}

static void add_link(const struct login *login, struct arena *arena, struct text *text,
    struct slice step, struct slice to, struct slice title)
{
    struct slice encoded = uri_encode(arena, to);
    text->failed |= !encoded.data;
    text_add_literal(text, "<a href=\"");
    text_add_html(text, login->path);
    text_add_literal(text, "/login");
    text_add_html(text, step);
    text_add_literal(text, "?to=");
    text_add_html(text, encoded);
    text_add_literal(text, "\">");
    text_add_html(text, title);
    text_add_literal(text, "</a>\n");
}

enum status login_page_choose(const struct login *login, struct exchange *x, struct slice to)
{
    struct text text = text_growing(0);
    text_add_literal(&text, HEAD "<title>Log in</title>\n<h1>Log in with</h1>\n");
    for (size_t i = 0; i < login->count; i++)
        add_link(login, &x->arena, &text, login->used[i]->step, to, login->used[i]->title);
    return answer(x, &text);
}

enum status login_page_left(const struct login *login, struct exchange *x)
{
    struct text text = text_growing(0);
    text_add_literal(&text, HEAD "<title>Logged out</title>\n<h1>You are logged out</h1>\n");
    add_link(login, &x->arena, &text, SLICE(""), SLICE("/"), SLICE("Log in again"));
    return answer(x, &text);
}
