#include "config/option.h"

#include "base/clock.h"
#include "config/expression.h"
#include "config/pattern.h"
#include "run/address.h"
#include "support/config.h"

struct breaker {
    int64_t open;
    double share;
};

struct service {
    struct option_list at;
    bool is_secret, timeout_is_set;
    int64_t port, limit, timeout;
    struct rate rate;
    double share;
    struct slice note;
    int balance;
    struct pattern *pattern;
    struct expression *when;
    struct template *greeting;
    struct network_list from;
    struct breaker breaker;
    struct option_map labels;
    struct place timeout_place;
    int custom, unknown;
};

static enum status read_custom(struct reader *reader, const struct node *node, void *ret_value)
{
    if (node->kind != NODE_SCALAR)
        return INVALID; /* without a word: the reader words it */
    if (!slice_equal(node->text, SLICE("seven")))
        return diagnostics_error(
            reader->diagnostics, node_place_at(node, 0, 3), SLICE("try seven"), "not seven");
    *(int *)ret_value = 7;
    return OK;
}

static enum status read_phrase(struct reader *reader, const struct node *node, void *value)
{
    (void)reader;
    if (node->kind != NODE_SCALAR || !slice_equal(node->text, SLICE("open quickly")))
        return NOT_FOUND;
    ((struct breaker *)value)->open = SECOND;
    return OK;
}

static enum status check_breaker(struct reader *reader, const struct node *node, void *value)
{
    if (((struct breaker *)value)->open == 13 * SECOND)
        return diagnostics_error(reader->diagnostics, node->place, SLICE_NONE, "unlucky");
    return OK;
}

static enum status read_unknown(struct reader *reader, const struct node_entry *entry, void *value)
{
    (void)reader;
    if (!slice_equal(entry->key, SLICE("cors")))
        return NOT_FOUND;
    ((struct service *)value)->unknown++;
    return OK;
}

static const char *unknown_name(size_t i)
{
    return i == 0 ? "cors" : NULL;
}

static const struct option breaker_list[] = {
    {"open", OPTION_DURATION, offsetof(struct breaker, open), .fallback = "10s"},
    {"share", OPTION_SHARE, offsetof(struct breaker, share), .fallback = "50%", .minimum = 1,
        .maximum = 90},
    {NULL}};
static const struct option_table breaker_table = {.name = "breaker",
    .options = breaker_list,
    .size = sizeof(struct breaker),
    .read_phrase = read_phrase,
    .check = check_breaker,
    .example = "open 10s if 50% of 20 fail"};

static const char *const balances[] = {"round-robin", "random", "hash", NULL};
static const struct option text_item = {NULL, OPTION_TEXT, 0};
static const struct option integer_item = {NULL, OPTION_INTEGER, 0};

#define AT(member) offsetof(struct service, member)
static const struct option service_list[] = {
    {"at", OPTION_LIST, AT(at), .is_required = true, .item = &text_item,
        .item_size = sizeof(struct slice), .help = "Where it is."},
    {"secret", OPTION_FLAG, AT(is_secret)},
    {"port", OPTION_INTEGER, AT(port), .fallback = "80", .minimum = 1, .maximum = 65535},
    {"limit", OPTION_SIZE, AT(limit), .fallback = "1MiB", .maximum = 1 << 30},
    {"timeout", OPTION_DURATION, AT(timeout), .fallback = "3s", .minimum = MILLISECOND,
        .is_set_offset = AT(timeout_is_set), .place_offset = AT(timeout_place)},
    {"rate", OPTION_RATE, AT(rate), .maximum = 1000},
    {"share", OPTION_SHARE, AT(share), .fallback = "100%"}, {"note", OPTION_TEXT, AT(note)},
    {"balance", OPTION_CHOICE, AT(balance), .choices = balances, .fallback = "random"},
    {"pattern", OPTION_PATTERN, AT(pattern)}, {"when", OPTION_EXPRESSION, AT(when)},
    {"greeting", OPTION_TEMPLATE, AT(greeting)},
    {"from", OPTION_NETWORKS, AT(from), .fallback = "[loopback, 10.0.0.0/8]"},
    {"breaker", OPTION_STRUCT, AT(breaker), .table = &breaker_table},
    {"labels", OPTION_MAP, AT(labels), .item = &integer_item, .item_size = sizeof(int64_t)},
    {"custom", OPTION_CUSTOM, AT(custom), .read = read_custom, .form = "the word seven"}, {NULL}};
static const struct option_table service_table = {.name = "service",
    .options = service_list,
    .size = sizeof(struct service),
    .shorthand = "at",
    .read_unknown = read_unknown,
    .unknown_name = unknown_name};

struct top {
    struct option_map services;
    struct option_list breakers;
    int64_t version;
};
/* A table whose short form is a name that it takes over. */
static const struct option_table door_table = {.name = "door",
    .options = &service_list[sizeof service_list / sizeof *service_list - 1],
    .size = sizeof(struct service),
    .shorthand = "cors",
    .read_unknown = read_unknown,
    .unknown_name = unknown_name};

static const struct option top_list[] = {
    {"services", OPTION_MAP, offsetof(struct top, services), .table = &service_table},
    {"breakers", OPTION_LIST, offsetof(struct top, breakers), .table = &breaker_table},
    {"version", OPTION_INTEGER, offsetof(struct top, version)}, {NULL}};
static const struct option_table top_table = {
    .name = "configuration", .options = top_list, .size = sizeof(struct top)};

static void begin(struct config *c, struct top *top, const char *text)
{
    *top = (struct top){.version = 0};
    if (!config_begin(c, slice_of_text(text)))
        option_read(&c->reader, &top_table, c->root, top);
}

/* What is not there is empty, and fails the check that looks at it. */
static struct option_map_entry entry_at(const struct option_map *map, size_t i)
{
    return map->entries && i < map->count ? map->entries[i]
                                          : (struct option_map_entry){.value = NULL};
}

static const struct service *service_at(const struct top *top, size_t i)
{
    static const struct service none;
    const struct service *service = entry_at(&top->services, i).value;
    return service ? service : &none;
}

static struct slice text_at(const struct option_list *list, size_t i)
{
    return list->items && i < list->count ? ((struct slice *)list->items)[i] : SLICE_NONE;
}

static void every_kind_is_read(void **state)
{
    (void)state;
    struct config c;
    struct top top;
    begin(&c, &top,
        "version: 1\n"
        "services:\n"
        "  cart:\n"
        "    at: [a:1, b:2]\n"
        "    secret: true\n"
        "    port: 8080\n"
        "    limit: 10MiB\n"
        "    timeout: 250ms\n"
        "    rate: 100/min\n"
        "    share: 5%\n"
        "    note: \"\"\n"
        "    balance: hash\n"
        "    pattern: ^a+$\n"
        "    when: header.x == y\n"
        "    greeting: hello ${header.name}\n"
        "    from: [private, 192.0.2.1]\n"
        "    breaker: {open: 1s, share: 10%}\n"
        "    labels: {x: 1, y: -2}\n"
        "    custom: seven\n"
        "    cors: whatever\n");
    config_check_clean(&c);
    assert_int_equal(top.services.count, 1);
    assert_slice(entry_at(&top.services, 0).key, "cart");
    assert_int_equal(entry_at(&top.services, 0).place.line, 3);
    const struct service *s = service_at(&top, 0);
    assert_int_equal(s->at.count, 2);
    assert_slice(text_at(&s->at, 1), "b:2");
    assert_true(s->is_secret);
    assert_int_equal(s->port, 8080);
    assert_int_equal(s->limit, 10 << 20);
    assert_int_equal(s->timeout, 250 * MILLISECOND);
    assert_true(s->timeout_is_set);
    assert_int_equal(s->timeout_place.line, 8);
    assert_int_equal(s->rate.count, 100);
    assert_true(s->share > 0.049 && s->share < 0.051);
    assert_true(s->note.data != NULL);
    assert_int_equal(s->balance, 2);
    assert_slice(pattern_text(s->pattern), "^a+$");
    assert_slice(expression_source(s->when), "header.x == y");
    assert_false(template_is_constant(s->greeting));
    assert_int_equal(s->from.count, 7);
    assert_int_equal(s->breaker.open, SECOND);
    assert_int_equal(s->labels.count, 2);
    assert_int_equal(*(int64_t *)s->labels.entries[1].value, -2);
    assert_int_equal(s->custom, 7);
    assert_int_equal(s->unknown, 1);
    config_end(&c);
}

static void short_forms_and_defaults_are_filled_in(void **state)
{
    (void)state;
    struct config c;
    struct top top;
    begin(&c, &top,
        "services: {user: consul://user, cart: [a, b], pay: {at: x, breaker: open quickly}}\n"
        "breakers: {open: 5s}\n");
    config_check_clean(&c);
    assert_int_equal(top.services.count, 3);
    const struct service *user = service_at(&top, 0);
    assert_int_equal(user->at.count, 1);
    assert_slice(text_at(&user->at, 0), "consul://user");
    assert_int_equal(user->port, 80);
    assert_int_equal(user->limit, 1 << 20);
    assert_false(user->timeout_is_set);
    assert_int_equal(user->timeout, 3 * SECOND);
    assert_int_equal(user->balance, 1);
    assert_int_equal(user->from.count, 3);
    assert_int_equal(user->breaker.open, 10 * SECOND);
    assert_int_equal(service_at(&top, 1)->at.count, 2);
    const struct service *pay = service_at(&top, 2);
    assert_int_equal(pay->breaker.open, SECOND);
    assert_true(pay->breaker.share > 0.49);
    assert_int_equal(top.breakers.count, 1);
    const struct breaker *first = top.breakers.items;
    assert_true(first && first->open == 5 * SECOND);
    config_end(&c);
}

/* What stands behind "services: {cart: {at: x, ": it begins in column 24. */
static const struct {
    const char *text;
    uint32_t column;
    const char *says, *hints;
} wrong_options[] = {
    {"balence: hash", 24, "unknown option \"balence\" for service \"cart\"",
        "did you mean \"balance\"?"},
    {"crs: 1", 24, "unknown option \"crs\"", "did you mean \"cors\"?"},
    {"zzzzzzz: 1", 24, "unknown option", ""},
    {"secret: yes", 32, "only true and false", "true"},
    {"secret: True", 32, "only true and false", NULL},
    {"secret: \"true\"", 32, "this is text", "quotes"},
    {"secret: [true]", 32, "is true or false, not a list", "true"},
    {"secret: ", 32, "\"secret\" of service \"cart\" has no value", NULL},
    {"port: 0", 30, "at least 1 and at most 65535", NULL},
    {"port: 65536", 30, "at least 1 and at most 65535", NULL},
    {"port: -1", 30, "at least 1", NULL},
    {"port: 80a", 30, "digits alone", NULL},
    {"port: 8.5", 30, "digits alone", NULL},
    {"port: 0x50", 30, "digits alone", NULL},
    {"port: 99999999999999999999", 30, "digits alone", NULL},
    {"port: 9999999999999999999", 30, "that large", NULL},
    {"port: {a: 1}", 30, "is a whole number, not a map", "10"},
    {"port: null", 30, "has no value", NULL},
    {"limit: 10", 31, "needs a unit", NULL},
    {"limit: 2GiB", 31, "at most 1GiB", NULL},
    {"timeout: 5", 33, "\"timeout\" of service \"cart\": a duration needs a unit: 5s", NULL},
    {"timeout: 0s", 33, "at least 1ms", NULL},
    {"timeout: soon", 33, "a number and its unit", NULL},
    {"timeout: [5s]", 33, "is a duration, not a list", "5s"},
    {"rate: 100", 30, "needs a time", NULL},
    {"rate: 1001/s", 30, "the count of a rate is at most 1000", NULL},
    {"share: 20", 31, "percent sign", NULL},
    {"note: [a]", 30, "is text, not a list", NULL},
    {"note: ~", 30, "has no value", NULL},
    {"balance: rond-robin", 33, "cannot be \"rond-robin\"", "did you mean \"round-robin\"?"},
    {"balance: nothing-like-it", 33, "cannot be", "one of: round-robin, random, hash"},
    {"pattern: \"a(b\"", 37, "parenthesis", NULL},
    {"pattern: \"*a\"", 34, "repeatable", NULL},
    {"pattern: \"(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)\"", 34, "15 groups", NULL},
    {"when: headr.x", 30, "no \"headr.x\"", "did you mean header.x?"},
    {"when: claims.sub == x", 30, "claims need an `auth`", NULL},
    {"greeting: \"hi ${header.x\"", 38, "\"}\" is missing", NULL},
    {"greeting: \"hi ${headr.x} you\"", 40, "no \"headr.x\"", NULL},
    {"from: 10.0.0.0/33", 30, "no network", "private"},
    {"from: [loopback, privat]", 41, "no network", NULL},
    {"from: [[x]]", 31, "is a network, not a list", NULL},
    {"breaker: 5", 33, "breaker of service \"cart\" is a map, not text", "open 10s if"},
    {"breaker: {opn: 5s}", 34, "\"opn\" for breaker of service \"cart\"", "did you mean \"open\""},
    {"breaker: {zzzzzz: 5s}", 34, "unknown option", "the options are: open, share"},
    {"breaker: {share: 95%}", 41, "at least 1% and at most 90%", NULL},
    {"breaker: {open: 13s}", 33, "unlucky", NULL},
    {"breaker: [a]", 33, "is a map, not a list", NULL},
    {"labels: x", 32, "is a map, not text", "{}"},
    {"labels: {x: y}", 36, "\"labels\" of service \"cart\": a whole number", NULL},
    {"custom: eight", 32, "not seven", "try seven"},
    {"custom: [seven]", 32, "is the word seven, not a list", NULL},
};

static void each_wrong_option_is_complained_of_where_it_is(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof wrong_options / sizeof *wrong_options; i++) {
        struct config c;
        struct top top;
        struct text text = text_growing(0);
        text_format(&text, "services: {cart: {at: x, %s}}%c", wrong_options[i].text, 0);
        begin(&c, &top, text.data);
        wrong +=
            !config_complains(&c, &(struct malformed){text.data, 1, wrong_options[i].column + 2,
                                      wrong_options[i].says, wrong_options[i].hints});
        config_end(&c);
        text_release(&text);
    }
    assert_int_equal(wrong, 0);
}

static const struct malformed malformed[] = {
    {"services: {cart: {}}", 1, 18, "service \"cart\" needs \"at\"", "Where it is."},
    {"services: {cart: }", 1, 18, "service \"cart\" has no value", NULL},
    {"services: [a]", 1, 11, "\"services\" is a map, not a list", NULL},
    {"services: ", 1, 10, "\"services\" has no value", "{}"},
    {"servces: {}", 1, 1, "unknown option \"servces\"", "did you mean \"services\"?"},
    {"breakers: [{open: 5}]", 1, 19, "\"open\" of breaker: a duration needs a unit", NULL},
    {"breakers: [{}, 5]", 1, 16, "breaker is a map, not text", NULL},
    {"breakers: ", 1, 10, "\"breakers\" has no value", "[]"},
    {"[a]", 1, 1, "configuration is a map, not a list", NULL},
    {"just text", 1, 1, "configuration is a map, not text", NULL},
};

static void the_outer_forms_are_checked(void **state)
{
    (void)state;
    assert_malformed(&top_table, malformed);
}

static void a_short_form_may_be_a_name_taken_over(void **state)
{
    (void)state;
    struct config c;
    struct service door = {.unknown = 0};
    assert_ok(config_begin(&c, SLICE("anything")));
    assert_ok(option_read(&c.reader, &door_table, c.root, &door));
    config_check_clean(&c);
    assert_int_equal(door.unknown, 1);
    config_end(&c);
}

static void all_errors_come_at_once(void **state)
{
    (void)state;
    struct config c;
    struct top top;
    begin(&c, &top,
        "version: x\nservices:\n  a: {timeout: 5, port: y}\n  b: {balence: x, at: [[z]]}\n");
    assert_int_equal(c.diagnostics.errors, 6);
    assert_int_equal(top.services.count, 2);
    config_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_read),
        cmocka_unit_test(short_forms_and_defaults_are_filled_in),
        cmocka_unit_test(each_wrong_option_is_complained_of_where_it_is),
        cmocka_unit_test(the_outer_forms_are_checked),
        cmocka_unit_test(a_short_form_may_be_a_name_taken_over),
        cmocka_unit_test(all_errors_come_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
