/* Which certificate answers for a name, and which requests belong on a connection. */
#include "gateway/tls_plan.h"

#include "support/unit.h"

#define HOSTS 4

struct fixture {
    struct slice names[HOSTS][2];
    struct tls_host hosts[HOSTS];
    struct tls_plan plan;
};

static void begin(struct fixture *f)
{
    static const char *const names[HOSTS][2] = {{"one.example", "www.one.example"},
        {"two.example", "*.two.example"}, {"admin.two.example"}, {"api.two.example"}};
    *f = (struct fixture){.plan = {.hosts = f->hosts, .host_count = HOSTS}};
    table_init(&f->plan.names, 100);
    for (int i = 0; i < HOSTS; i++) {
        f->hosts[i].names = f->names[i];
        for (int j = 0; j < 2 && names[i][j]; j++) {
            f->names[i][j] = slice_of_text(names[i][j]);
            f->hosts[i].name_count++;
            assert_ok(table_put(&f->plan.names, f->names[i][j], &f->hosts[i]));
        }
    }
    f->hosts[2].client = TLS_REQUIRED;
}

static void end(struct fixture *f)
{
    table_release(&f->plan.names);
}

static void test_find(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    const struct {
        const char *name;
        const struct tls_host *host;
    } cases[] = {
        {"one.example", &f.hosts[0]}, {"www.one.example", &f.hosts[0]}, {"a.one.example", NULL},
        {"two.example", &f.hosts[1]}, {"a.two.example", &f.hosts[1]}, {"a.b.two.example", NULL},
        {"admin.two.example", &f.hosts[2]}, {"*.two.example", &f.hosts[1]}, {"example", NULL},
        {"", NULL}, {".two.example", &f.hosts[1]}, /* no request has such a host */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_ptr_equal(tls_plan_find(&f.plan, slice_of_text(cases[i].name)), cases[i].host);
    char longest[400];
    memset(longest, 'a', sizeof longest);
    longest[3] = '.';
    assert_null(tls_plan_find(&f.plan, slice_of(longest, sizeof longest)));
    end(&f);
}

static void test_fits(void **state)
{
    (void)state;
    static const struct {
        const char *name, *host;
        bool fits;
    } cases[] = {
        {"one.example", "one.example", true},
        {"one.example", "www.one.example", true},
        {"one.example", "two.example", false},
        {"one.example", "nobody.example", false},
        {"nobody.example", "nobody.example", false},
        {"nobody.example", "one.example", true}, /* it was shown that of one.example */
        {"", "one.example", true},
        {"", "two.example", false},
        {"a.two.example", "b.two.example", true},
        {"a.two.example", "api.two.example", true}, /* the wildcard covers it */
        {"api.two.example", "a.two.example", false},
        {"a.two.example", "admin.two.example", false}, /* which wants a certificate */
        {"admin.two.example", "admin.two.example", true},
        {"admin.two.example", "a.two.example", false},
        {"a.two.example", "a.b.two.example", false},
        {"one.example", "127.0.0.1", true},
        {"", "::1", true},
        {"a.two.example", "127.0.0.1", false},
    };
    struct fixture f;
    begin(&f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (tls_plan_fits(&f.plan, slice_of_text(cases[i].name), slice_of_text(cases[i].host)) !=
            cases[i].fits)
            fail_msg("%s on a connection to %s", cases[i].host, cases[i].name);
    end(&f);
}

/* A certificate without names, which is all there is, is for whoever asks. */
static void test_nameless(void **state)
{
    (void)state;
    struct tls_host host = {.name_count = 0};
    struct tls_plan plan = {.hosts = &host, .host_count = 1};
    table_init(&plan.names, 1);
    assert_true(tls_plan_fits(&plan, SLICE("a.example"), SLICE("a.example")));
    assert_true(tls_plan_fits(&plan, SLICE_NONE, SLICE("b.example")));
    table_release(&plan.names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_fits),
        cmocka_unit_test(test_nameless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
