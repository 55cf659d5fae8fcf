#include <stdio.h>

#include "base/json_writer.h"
#include "gateway/proof.h"
#include "main/arguments.h"
#include "main/load.h"

struct test {
    const char *path;
    bool json;
    struct json_writer writer;
    size_t failed;
};

static void report_json(
    struct json_writer *writer, const struct proof_options *proof, bool holds, struct slice got)
{
    json_write_object(writer);
    json_put_u64(writer, "line", proof->place.line);
    json_put_text(writer, "method", proof->method);
    json_put_text(writer, "path", proof->target);
    json_put_text(writer, "is", proof->is);
    json_put_text(writer, "got", got);
    json_put_bool(writer, "holds", holds);
    json_write_object_end(writer);
}

static void report(const struct proof_options *proof, bool holds, struct slice got)
{
    printf("%s %.*s %.*s is %.*s", holds ? "ok  " : "FAIL", SLICE_ARG(proof->method),
        SLICE_ARG(proof->target), SLICE_ARG(proof->is));
    if (!holds)
        printf(": got %.*s (%.*s:%u)", SLICE_ARG(got), SLICE_ARG(proof->place.source->name),
            proof->place.line);
    putchar('\n');
}

static enum status check_all(struct test *test, struct loaded *loaded)
{
    const struct option_list *list = &loaded->snapshot->options->tests;
    const struct proof_options *proofs = list->items;
    for (size_t i = 0; i < list->count; i++) {
        bool holds = false;
        struct slice got = SLICE("a request that makes no sense");
        enum status e = proof_check(loaded->snapshot, &proofs[i], &loaded->arena, &holds, &got);
        if (e && e != INVALID)
            return e;
        test->failed += !holds;
        if (test->json)
            report_json(&test->writer, &proofs[i], holds, got);
        else
            report(&proofs[i], holds, got);
    }
    return OK;
}

static int check_loaded(struct test *test, struct loaded *loaded)
{
    struct text text = text_growing(0);
    json_writer_init(&test->writer, &text, 2);
    json_write_array(&test->writer);
    enum status e = check_all(test, loaded);
    json_write_array_end(&test->writer);
    if (test->json)
        printf("%.*s\n", SLICE_ARG(text_slice(&text)));
    else
        printf("%zu passed, %zu failed\n", loaded->snapshot->options->tests.count - test->failed,
            test->failed);
    text_release(&text);
    return e || test->failed ? EXIT_FAILED : EXIT_DONE;
}

static int run_tests(void *argument)
{
    struct test *test = argument;
    struct loaded loaded;
    int code = load_configuration(test->path, false, &loaded);
    if (code == EXIT_DONE)
        code = check_loaded(test, &loaded);
    loaded_release(&loaded);
    return code;
}

static int run(int count, char **words)
{
    struct test test = {.path = NULL};
    const struct argument taken[] = {
        {.value = &test.path, .is_required = true}, {.name = "--json", .flag = &test.json}, {0}};
    int code = arguments_read(&test_command, count, words, taken);
    return code ? code : run_on_fiber(run_tests, &test);
}

static const char *const options[] = {"--json", NULL};

const struct command test_command = {.name = "test",
    .arguments = "FILE [--json]",
    .summary = "Checks the expectations under `tests:` of a configuration.",
    .help =
        "Each request goes through routing and policies; services are only named, not called: no\n"
        "network is needed.",
    .options = options,
    .run = run};
