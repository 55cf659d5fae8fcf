/* What nodes of ZooKeeper say, in each form. */
#include "service/zookeeper_node.h"

#include "support/unit.h"

static struct {
    struct arena arena;
    struct findings findings;
    struct zookeeper_reading reading;
    char room[200];
    struct text trouble;
} scene;

static int setup(void **state)
{
    (void)state;
    memset(&scene, 0, sizeof scene);
    arena_init(&scene.arena, 0, 0);
    scene.findings.arena = &scene.arena;
    scene.trouble = text_fixed(scene.room, sizeof scene.room);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_release(&scene.arena);
    return 0;
}

static enum status look(const char *name, const char *data)
{
    text_clear(&scene.trouble);
    return zookeeper_node_read(
        &scene.reading, slice_of_text(name), slice_of_text(data), &scene.findings, &scene.trouble);
}

/* The newest finding, which must be at that address. */
static const struct finding *read_good(const char *name, const char *data, const char *at)
{
    char room[ADDRESS_TEXT_MAX];
    struct text text = text_fixed(room, sizeof room);
    size_t count = scene.findings.count;
    assert_ok(look(name, data));
    assert_int_equal(scene.findings.count, count + 1);
    address_format(&scene.findings.items[count].address, &text);
    assert_slices(text_slice(&text), slice_of_text(at));
    return &scene.findings.items[count];
}

static void assert_bad(const char *name, const char *data, enum status wanted, const char *why)
{
    size_t count = scene.findings.count;
    assert_status(look(name, data), wanted);
    assert_int_equal(scene.findings.count, count);
    assert_slices(text_slice(&scene.trouble), slice_of_text(why));
}

#define CURATOR "{\"name\":\"user\",\"id\":\"1\",\"address\":\"10.0.0.1\","

static void test_curator(void **state)
{
    (void)state;
    const struct finding *found = read_good("1",
        CURATOR "\"port\":80,\"sslPort\":443,\"payload\":{\"@class\":\"x\",\"metadata\":"
                "{\"zone\":\"a\",\"v\":\"2\"},\"n\":3},\"enabled\":true}",
        "10.0.0.1:80");
    assert_slice(found->zone, "a");
    assert_int_equal(found->label_count, 3);
    assert_slice(found->labels[2].key, "v");
    assert_slice(found->labels[2].value, "2");
    assert_int_equal(found->trouble.size, 0);
    found = read_good(
        "1", CURATOR "\"port\":80,\"payload\":\"text\",\"enabled\":false}", "10.0.0.1:80");
    assert_slice(found->trouble, "disabled in ZooKeeper");
    found = read_good("1", CURATOR "\"port\":80,\"payload\":{\"zone\":\"b\"}}", "10.0.0.1:80");
    assert_slice(found->zone, "b");
    assert_bad("1", CURATOR "\"port\":null,\"sslPort\":443}", INVALID, "it has no port");
    assert_bad("1", CURATOR "\"port\":65536}", INVALID, "it has no port");
    assert_bad("1", "{\"port\":80}", INVALID, "it has no address");
    scene.reading.is_secure = true;
    read_good("1", CURATOR "\"port\":80,\"sslPort\":443}", "10.0.0.1:443");
    assert_bad("1", CURATOR "\"port\":80,\"sslPort\":null}", INVALID, "it has no port");
}

#define SERVERSET                                                                                 \
    "{\"serviceEndpoint\":{\"host\":\"10.0.0.1\",\"port\":80},\"additionalEndpoints\":{\"http\":" \
    "{\"host\":\"10.0.0.1\",\"port\":8080}},\"shard\":7,"

static void test_serversets(void **state)
{
    (void)state;
    const struct finding *found = read_good(
        "member_1", SERVERSET "\"status\":\"ALIVE\",\"metadata\":{\"v\":\"2\"}}", "10.0.0.1:80");
    assert_int_equal(found->label_count, 2);
    assert_slice(found->labels[1].key, "shard");
    assert_slice(found->labels[1].value, "7");
    assert_int_equal(found->trouble.size, 0);
    found = read_good("member_1", SERVERSET "\"status\":\"DEAD\"}", "10.0.0.1:80");
    assert_slice(found->trouble, "DEAD in ZooKeeper");
    scene.reading.endpoint = SLICE("http");
    read_good("member_1", SERVERSET "\"status\":\"ALIVE\"}", "10.0.0.1:8080");
    scene.reading.endpoint = SLICE("admin");
    assert_bad("member_1", SERVERSET "\"x\":1}", INVALID, "it has no endpoint of that name");
}

static void test_plain(void **state)
{
    (void)state;
    read_good("1", "10.0.0.1:80", "10.0.0.1:80");
    read_good("1", " [::1]:80\r\n", "[::1]:80");
    read_good("10.0.0.2:80", "", "10.0.0.2:80");
    read_good("10.0.0.2:80", "started at noon", "10.0.0.2:80");
    read_good("10.0.0.2:80", "10.0.0.3:80", "10.0.0.3:80");
    const char *neither = "neither its data nor its name is an address";
    assert_bad("1", "", INVALID, neither);
    assert_bad("user", "10.0.0.1", INVALID, neither);
    assert_bad("1", "user.internal:80", NOT_FOUND, "user.internal has no address");
}

static void test_as_in_files(void **state)
{
    (void)state;
    const struct finding *found = read_good(
        "1", "{\"address\":\"10.0.0.1:80\",\"weight\":3,\"state\":\"drain\"}", "10.0.0.1:80");
    assert_int_equal(found->weight, 3);
    assert_slice(found->trouble, "ZooKeeper says drain");
    read_good("1", "\"10.0.0.1:80\"", "10.0.0.1:80");
    assert_status(look("10.0.0.2:80", "{\"address\":\"10.0.0.1:80\",\"x\":1}"), INVALID);
    assert_true(
        slice_has_prefix(text_slice(&scene.trouble), SLICE("line 1, column 26: unknown option")));
    assert_status(look("10.0.0.2:80", "{"), INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_curator),
        TEST(test_serversets),
        TEST(test_plain),
        TEST(test_as_in_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
