#include "config/expression.h"

#include "config/expression_root.h"
#include "support/config.h"

/* A request to ask. */
struct fixture {
    struct config config;
    struct exchange x;
};

static void add_field(struct fields *fields, const char *name, const char *value)
{
    struct slice n = slice_of_text(name);
    assert_ok(fields_add(fields, field_id_of(n), n, slice_of_text(value)));
}

static void begin_exchange(struct exchange *x)
{
    *x = (struct exchange){.request = {.method_text = SLICE("GET"),
                               .host = SLICE("api.example"),
                               .path = SLICE("/v1/users/7"),
                               .query = SLICE("page=2&name=a%20b&empty="),
                               .scheme = SLICE("https")},
        .request_id = SLICE("id-1"),
        .parameter_count = 1};
    arena_init(&x->arena, 0, 0);
    fields_init(&x->request.fields, &x->arena);
    fields_init(&x->response.fields, &x->arena);
    add_field(&x->request.fields, "X-Plan", "gold");
    add_field(&x->request.fields, "X-Age", "42");
    add_field(&x->request.fields, "X-Empty", "");
    add_field(&x->request.fields, "Accept", "text/html, application/json");
    add_field(&x->request.fields, "Cookie", "a=1; session=abc; quoted=\"q\"");
    add_field(&x->request.fields, "Cookie", "later=yes");
    add_field(&x->response.fields, "Content-Type", "text/plain");
    x->response.status = 404;
    x->parameters[0] = (struct path_parameter){SLICE("id"), SLICE("7")};
    x->facts.route = SLICE("GET /v1/users/{id}");
    assert_ok(address_parse(SLICE("192.0.2.7:1234"), &x->client));
    assert_ok(address_parse(SLICE("[::1]:80"), &x->peer));
}

static void read_claim(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    static const struct value roles[] = {
        {.kind = VALUE_TEXT, .text = SLICE_INIT("buyer")}, {.kind = VALUE_NUMBER, .number = 3}};
    (void)x;
    if (slice_equal(operand->names[0], SLICE("roles")))
        *ret_value = (struct value){.kind = VALUE_LIST, .items = roles, .count = 2};
    else if (slice_equal(operand->name, SLICE("address.city")) && operand->count == 2)
        *ret_value = (struct value){.kind = VALUE_TEXT, .text = SLICE("Bern")};
    else if (slice_equal(operand->names[0], SLICE("admin")))
        *ret_value = (struct value){.kind = VALUE_FLAG, .flag = true};
}

static const struct expression_root more_roots[] = {
    {.name = "claims", .form = ROOT_PATH, .type = TYPE_ANY, .read = read_claim}, {.name = NULL}};

static struct node node_of(const struct config *config, const char *text)
{
    struct slice s = slice_of_text(text);
    (void)config;
    return (struct node){.kind = NODE_SCALAR, .text = s, .raw = s};
}

static void begin(struct fixture *f)
{
    assert_ok(config_begin(&f->config, SLICE("")));
    f->config.reader.roots = more_roots;
    begin_exchange(&f->x);
}

static void end(struct fixture *f)
{
    arena_release(&f->x.arena);
    config_end(&f->config);
}

static const char *const true_ones[] = {
    "true",
    "not false",
    "\"x\"",
    "12",
    "header.x-plan",
    "header.X-Plan == gold",
    "header.x-plan == \"gold\"",
    "header.x-plan == 'gold'",
    "header.x-plan != silver",
    "header.x-age == 42",
    "header.x-age == \"42\"",
    "header.x-age < 43",
    "header.x-age <= 42",
    "header.x-age > 41.5",
    "header.x-age >= 42",
    "42 == header.x-age",
    "header.x-age > -1",
    "header.x-plan < \"h\"",
    "method == GET",
    "method in [GET, HEAD]",
    "header.x-age in [1, 42]",
    "header.x-plan in [\"silver\", gold]",
    "host == api.example",
    "host ends \".example\"",
    "path starts \"/v1/\"",
    "path matches \"^/v[0-9]+/\"",
    "path matches \"/users/\\d+$\"",
    "scheme == https",
    "query.page == 2",
    "query.name == \"a b\"",
    "path.id == 7",
    "cookie.session == abc",
    "cookie.later == yes",
    "cookie.quoted == q",
    "client.ip == 192.0.2.7",
    "peer.ip == \"::1\"",
    "request.id == id-1",
    "route starts \"GET \"",
    "query starts \"page=2\"",
    "header.accept has \"text/html\"",
    "not header.nothing",
    "header.nothing != x",
    "not (header.nothing == x)",
    "not (header.nothing < 1)",
    "not (header.nothing >= 1)",
    "not header.x-empty",
    "header.x-plan and header.x-age",
    "header.nothing or header.x-plan",
    "false or false or true",
    "true and true and not false",
    "true or false and false",
    "not false and true",
    "(false or true) and true",
    "header.nothing else \"d\" == d",
    "header.nothing else header.x-plan == gold",
    "header.none else header.nil else \"z\" == z",
    "lower(header.x-plan) == gold",
    "upper(header.x-plan) == GOLD",
    "lower(method) == get",
    "lower(header.nothing) else \"n\" == n",
    "hash(path) == hash(path)",
    "hash(path) != hash(host)",
    "claims.roles has buyer",
    "claims.roles has 3",
    "claims.address.city == Bern",
    "claims.admin",
    "claims.admin == true",
    "not claims.nothing",
    "\"a\" < \"b\"",
    "header.x-age != 41",
    "header.x-plan != 41",
    "\"say \\\"hi\\\"\" == 'say \"hi\"'",
    "header.x-plan == header.x-plan",
    "1.50 == 1.5",
    "header.x-age in [\"42\"]",
};

static const char *const false_ones[] = {
    "false",
    "not true",
    "\"\"",
    "0",
    "header.nothing",
    "header.x-plan == Gold",
    "header.x-plan == silver",
    "header.nothing == header.nil",
    "header.x-age < 42",
    "header.x-plan == 42",
    "header.x-plan < 42",
    "method in [POST, PUT]",
    "header.nothing in [x]",
    "path starts \"v1\"",
    "path ends \"/\"",
    "path matches \"^v1\"",
    "query.empty",
    "query.none == x",
    "cookie.sess == abc",
    "path.none",
    "header.accept has json",
    "header.nothing has x",
    "true and false",
    "false or false",
    "claims.roles has seller",
    "claims.roles == buyer",
    "claims.admin == false",
    "claims.nothing < 3",
    "hash(header.nothing)",
    "\"b\" <= \"a\"",
    "header.nothing matches \".*\"",
    "service",
    "listener == x",
};

static void check_all(const char *const *texts, size_t count, bool wanted)
{
    int wrong = 0;
    for (size_t i = 0; i < count; i++) {
        struct fixture f;
        begin(&f);
        struct node node = node_of(&f.config, texts[i]);
        struct expression *expression = NULL;
        if (expression_compile(&f.config.reader, &node, PHASE_REQUEST, &expression)) {
            print_error("%s: %.*s\n", texts[i], SLICE_ARG(f.config.diagnostics.items[0].message));
            wrong++;
        } else if (expression_is_true(expression, &f.x) != wanted) {
            print_error("%s should be %s\n", texts[i], wanted ? "true" : "false");
            wrong++;
        }
        end(&f);
    }
    assert_int_equal(wrong, 0);
}

static void what_is_true_is_true(void **state)
{
    (void)state;
    check_all(true_ones, sizeof true_ones / sizeof *true_ones, true);
}

static void what_is_false_is_false(void **state)
{
    (void)state;
    check_all(false_ones, sizeof false_ones / sizeof *false_ones, false);
}

static void values_become_text(void **state)
{
    (void)state;
    static const struct {
        const char *source, *text;
    } cases[] = {{"header.x-plan", "gold"}, {"12", "12"}, {"1.5", "1.5"}, {"true", "true"},
        {"header.x-age == 42", "true"}, {"response.status", "404"},
        {"response.header.content-type", "text/plain"}, {"claims.roles", "buyer,3"},
        {"header.nothing", NULL}, {"upper(header.x-plan)", "GOLD"}, {"client.ip", "192.0.2.7"},
        {"header.x-empty", ""}, {"hash(\"\")", "2d06800538d394c2"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        begin(&f);
        struct node node = node_of(&f.config, cases[i].source);
        struct expression *expression;
        assert_ok(expression_compile(&f.config.reader, &node, PHASE_RESPONSE, &expression));
        assert_slices(expression_source(expression), slice_of_text(cases[i].source));
        struct slice text = expression_text(expression, &f.x);
        assert_slices(text, slice_of_text(cases[i].text));
        assert_int_equal(text.data == NULL, cases[i].text == NULL);
        end(&f);
    }
}

/* Column and complaint for an expression that begins in column 1. */
static const struct malformed wrong[] = {
    {"\"\"", 1, 1, "an expression is missing", "header.x-plan"},
    {"header.x ==", 1, 12, "something is missing at the end", NULL},
    {"header.x == == y", 1, 13, "\"==\" is not expected", NULL},
    {"header.x = y", 1, 10, "\"=\" means nothing here", "write =="},
    {"header.x && header.y", 1, 10, "means nothing", "write and"},
    {"header.x || header.y", 1, 10, "means nothing", "write or"},
    {"not !header.x", 1, 5, "means nothing", "write not"},
    {"headr.x == y", 1, 1, "no \"headr.x\"", "did you mean header.x?"},
    {"hots == y", 1, 1, "no \"hots\"", "did you mean host?"},
    {"buyer", 1, 1, "no \"buyer\" to ask for", "for the text write \"buyer\""},
    {"header", 1, 1, "no \"header\"", "header.NAME"},
    {"header. == x", 1, 1, "no \"header.\"", NULL},
    {"client == x", 1, 1, "no \"client\"", "client.ip"},
    {"claims.sub == x", 1, 1, "claims need an `auth`", NULL},
    {"header.x == claims.sub", 1, 13, "claims need an `auth`", NULL},
    {"response.status == 200", 1, 1, "no response yet", NULL},
    {"response.size > 200", 1, 1, "not known yet", NULL},
    {"response.body.usage == 1", 1, 1, "for the cost of a limit alone", NULL},
    {"request.body == 1", 1, 1, "for the cost of a limit alone", NULL},
    {"method == 12", 1, 11, "text is never equal to a number", "write \"12\""},
    {"\"a\" == 12", 1, 8, "text is never equal to a number", "write \"12\""},
    {"header.x == true", 1, 13, "text is never equal to true or false", "write \"true\""},
    {"true == 1", 1, 9, "true or false is never equal to a number", NULL},
    {"true < false", 1, 8, "is never less or greater than", NULL},
    {"method < 5", 1, 10, "text is never less or greater than a number", NULL},
    {"(header.x == y) == z", 1, 20, "true or false is never equal to text", NULL},
    {"header.x == y == z", 1, 15, "cannot be chained", NULL},
    {"1 < 2 < 3", 1, 7, "cannot be chained", NULL},
    {"header.x in y", 1, 13, "no \"y\"", NULL},
    {"header.x in \"y\"", 1, 13, "behind `in` stands a list", NULL},
    {"method in [GET, 5]", 1, 17, "text is never equal to a number", NULL},
    {"method in []", 1, 12, "\"]\" is not expected", NULL},
    {"method in [a, ]", 1, 15, "\"]\" is not expected", NULL},
    {"method in [a b]", 1, 14, "\"b\" is not expected", NULL},
    {"method in [a", 1, 13, "a \"]\" is missing", NULL},
    {"12 has 1", 1, 4, "a number has nothing in it", NULL},
    {"header.x has true", 1, 14, "text is wanted here", NULL},
    {"path matches x", 1, 14, "no \"x\"", NULL},
    {"path matches host", 1, 14, "a regular expression in quotes", NULL},
    {"path matches \"a(b\"", 1, 18, "parenthesis", NULL},
    {"path matches \"a**+*b\"", 1, 17, "repeatable", NULL},
    {"12 matches \"x\"", 1, 4, "text is wanted here, not a number", NULL},
    {"path starts 12", 1, 13, "text is wanted here, not a number", NULL},
    {"lower(12)", 1, 1, "text is wanted here, not a number", NULL},
    {"lower(method", 1, 13, "a \")\" is missing", NULL},
    {"lower()", 1, 7, "\")\" is not expected", NULL},
    {"trim(method)", 1, 1, "no function \"trim\"", "lower, upper and hash"},
    {"(method == GET", 1, 15, "a \")\" is missing", NULL},
    {"method == GET)", 1, 14, "\")\" is not expected", NULL},
    {"method GET", 1, 8, "\"GET\" is not expected", "quotes"},
    {"and method", 1, 1, "\"and\" is not expected", NULL},
    {"method == and", 1, 11, "\"and\" is not expected", NULL},
    {"method == \"GET", 1, 11, "this quote is never closed", NULL},
    {"header.x == path", 1, 13, "path could be the text or the value", "write \"path\""},
    {"header.x == text/html", 1, 17, "\"/\" is not expected", "quotes"},
    {"[a, b] has x", 1, 1, "", NULL},
    {"header.x == 99999999999999999999", 1, 13, "that large", NULL},
    {"method == \xc3\xa4", 1, 11, "is not expected", NULL},
    {"\xc3\xa4 == method", 1, 1, "is not expected", NULL},
    {"header.x == a; header.y", 1, 14, "\";\" is not expected", NULL},
};

static void what_is_wrong_is_said_at_its_place(void **state)
{
    (void)state;
    int failed = 0;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct config c;
        struct expression *expression;
        struct source source = {SLICE("x"), slice_of_text(wrong[i].text)};
        assert_ok(config_begin(&c, SLICE("")));
        struct node node = node_of(&c, wrong[i].text);
        if (i == 0)
            node.text = SLICE("");
        node.place = (struct place){&source, 1, 1, 100};
        if (expression_compile(&c.reader, &node, PHASE_REQUEST, &expression) != INVALID)
            print_error("%s is accepted\n", wrong[i].text);
        failed += !config_complains(&c, &wrong[i]);
        config_end(&c);
    }
    assert_int_equal(failed, 0);
}

static void parts_point_into_their_phrase(void **state)
{
    (void)state;
    struct config c;
    assert_ok(config_begin(&c, SLICE("balance: hash cokie.session")));
    struct expression *expression;
    struct node *node = c.root->entries[0].value;
    assert_status(
        expression_compile_part(&c.reader, node, 5, 100, PHASE_REQUEST, &expression), INVALID);
    assert_true(config_complains(&c, &(struct malformed){"cokie", 1, 15, "no \"cokie.session\"",
                                         "did you mean cookie.session?"}));
    config_end(&c);
}

static void parameters_are_those_of_the_route(void **state)
{
    (void)state;
    static const struct slice names[] = {SLICE_INIT("id"), SLICE_INIT("order")};
    static const struct parameter_names both = {names, 2}, one = {names, 1}, none = {names, 0};
    static const struct {
        const struct parameter_names *known;
        struct malformed wanted;
    } cases[] = {
        {&both, {"path.idd == 7", 1, 1, "no parameter \"idd\"", "did you mean path.id?"}},
        {&both, {"path.id == 7 and path.xyz", 1, 18, "\"xyz\"", "write {xyz} into its path"}},
        {&one, {"path.number == 7", 1, 1, "\"number\"", "did you mean path.id?"}},
        {&none, {"path.id == 7", 1, 1, "\"id\"", "write {id} into its path"}},
    };
    struct expression *expression;
    struct config c;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct source source = {SLICE("x"), slice_of_text(cases[i].wanted.text)};
        assert_ok(config_begin(&c, SLICE("")));
        struct node node = node_of(&c, cases[i].wanted.text);
        node.place = (struct place){&source, 1, 1, 100};
        c.reader.parameters = cases[i].known;
        assert_status(expression_compile(&c.reader, &node, PHASE_REQUEST, &expression), INVALID);
        assert_true(config_complains(&c, &cases[i].wanted));
        config_end(&c);
    }
    assert_ok(config_begin(&c, SLICE("")));
    struct node node = node_of(&c, "path starts \"/x\" and path.id == path.order");
    c.reader.parameters = &both;
    assert_ok(expression_compile(&c.reader, &node, PHASE_REQUEST, &expression));
    config_check_clean(&c);
    config_end(&c);
}

static void depth_has_an_end(void **state)
{
    (void)state;
    char text[400];
    memset(text, '(', sizeof text);
    text[sizeof text - 1] = '\0';
    struct config c;
    struct expression *expression;
    assert_ok(config_begin(&c, SLICE("")));
    struct node node = node_of(&c, text);
    assert_status(expression_compile(&c.reader, &node, PHASE_REQUEST, &expression), INVALID);
    assert_true(config_complains(&c, &(struct malformed){"(((", 0, 0, "too deep", NULL}));
    config_end(&c);
}

static void templates_put_values_into_text(void **state)
{
    (void)state;
    static const struct {
        const char *source, *text;
        bool is_constant;
    } cases[] = {
        {"plain", "plain", true},
        {"", "", true},
        {"$${header.x}", "${header.x}", true},
        {"$5 and $", "$5 and $", true},
        {"${header.x-plan}", "gold", false},
        {"${header.nothing}", "", false},
        {"plan ${header.x-plan}, age ${header.x-age}!", "plan gold, age 42!", false},
        {"${header.nothing else \"}\"}", "}", false},
        {"a${header.nothing}b$${c}d", "ab${c}d", false},
        {"${path.id}${path.id}", "77", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        begin(&f);
        struct node node = node_of(&f.config, cases[i].source);
        struct template *template;
        assert_ok(template_compile(&f.config.reader, &node, PHASE_REQUEST, &template));
        assert_int_equal(template_is_constant(template), cases[i].is_constant);
        struct slice text = template_render(template, &f.x);
        assert_non_null(text.data);
        assert_slices(text, slice_of_text(cases[i].text));
        end(&f);
    }
}

static const struct malformed wrong_templates[] = {
    {"a ${header.x", 1, 3, "a \"}\" is missing", "$${"},
    {"a ${}", 1, 5, "an expression is missing", NULL},
    {"a ${headr.x} ${header.y} ${cokie.z}", 1, 5, "no \"headr.x\"", NULL},
    {"a ${header.x == \"}", 1, 3, "a \"}\" is missing", NULL},
};

static void wrong_templates_are_complained_of(void **state)
{
    (void)state;
    int failed = 0;
    for (size_t i = 0; i < sizeof wrong_templates / sizeof *wrong_templates; i++) {
        struct config c;
        struct template *template;
        struct source source = {SLICE("x"), slice_of_text(wrong_templates[i].text)};
        assert_ok(config_begin(&c, SLICE("")));
        struct node node = node_of(&c, wrong_templates[i].text);
        node.place = (struct place){&source, 1, 1, 100};
        assert_status(template_compile(&c.reader, &node, PHASE_REQUEST, &template), INVALID);
        failed += !config_complains(&c, &wrong_templates[i]);
        config_end(&c);
    }
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_true_is_true),
        cmocka_unit_test(what_is_false_is_false),
        cmocka_unit_test(values_become_text),
        cmocka_unit_test(what_is_wrong_is_said_at_its_place),
        cmocka_unit_test(parts_point_into_their_phrase),
        cmocka_unit_test(parameters_are_those_of_the_route),
        cmocka_unit_test(depth_has_an_end),
        cmocka_unit_test(templates_put_values_into_text),
        cmocka_unit_test(wrong_templates_are_complained_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
