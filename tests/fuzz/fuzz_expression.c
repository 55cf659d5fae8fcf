/* Compiles any bytes as an expression and as a template; what is accepted is asked of an exchange,
 * twice the same. */
#include "base/must.h"
#include "config/expression_root.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_claim(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    static const struct value items[] = {
        {.kind = VALUE_TEXT, .text = SLICE_INIT("a")}, {.kind = VALUE_NUMBER, .number = 2}};
    (void)x;
    ret_value->kind = (enum value_kind)(operand->name.size % (VALUE_LIST + 1));
    ret_value->text = operand->name;
    ret_value->number = 2;
    ret_value->items = items;
    ret_value->count = 2;
}

static const struct expression_root roots[] = {
    {.name = "claims", .form = ROOT_PATH, .type = TYPE_ANY, .read = read_claim}, {.name = NULL}};

static void begin_exchange(struct exchange *x)
{
    *x = (struct exchange){.request = {.method_text = SLICE("GET"),
                               .host = SLICE("a"),
                               .path = SLICE("/a/b"),
                               .query = SLICE("a=1&b=%20"),
                               .scheme = SLICE("http")},
        .response = {.status = 200}};
    arena_init(&x->arena, 0, 0);
    fields_init(&x->request.fields, &x->arena);
    fields_init(&x->response.fields, &x->arena);
    must(fields_add(&x->request.fields, FIELD_OTHER, SLICE("x"), SLICE("12")) == OK);
    must(fields_add(&x->request.fields, FIELD_COOKIE, SLICE("cookie"), SLICE("a=b; c=d")) == OK);
}

static void ask(const struct expression *expression, struct exchange *x)
{
    bool is_true = expression_is_true(expression, x);
    struct slice text = expression_text(expression, x);
    must(expression_is_true(expression, x) == is_true);
    struct slice again = expression_text(expression, x);
    must(slice_equal(text, again) && !text.data == !again.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct diagnostics diagnostics;
    struct exchange x;
    struct expression *expression;
    struct template *template;
    arena_init(&arena, 0, 0);
    diagnostics_init(&diagnostics, &arena);
    struct slice bytes = arena_copy(&arena, slice_of((const char *)data, size));
    struct source source = {SLICE("fuzz"), bytes};
    struct reader reader = {.arena = &arena, .diagnostics = &diagnostics, .roots = roots};
    struct node node = {.kind = NODE_SCALAR,
        .place = {&source, 1, 1, (uint32_t)size + 1},
        .text = bytes,
        .raw = bytes};
    begin_exchange(&x);
    enum status e = expression_compile(&reader, &node, PHASE_RESPONSE, &expression);
    must(e == OK || diagnostics.errors);
    if (e == OK)
        ask(expression, &x);
    size_t errors = diagnostics.errors;
    e = template_compile(&reader, &node, PHASE_RESPONSE, &template);
    must(e == OK || diagnostics.errors > errors);
    if (e == OK)
        must(template_render(template, &x).data);
    arena_release(&x.arena);
    arena_release(&arena);
    return 0;
}
