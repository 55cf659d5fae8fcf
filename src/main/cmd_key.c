#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "base/random.h"
#include "config/unit.h"
#include "main/arguments.h"
#include "policy/key_book.h"
#include "run/tls.h"

#define SECRET_BYTES 32 /* of randomness: nothing that anybody guesses */
#define PREFIX_MAX   20
#define KEY_TEXT_MAX 96

struct wish {
    const char *name, *plan, *expires, *prefix;
    int64_t until; /* seconds since 1970; 0: none */
    bool is_json;
};

/* "shop_" and 43 letters: a prefix helps those who look for secrets where none should be. */
static void make_key(const char *prefix, char ret_key[KEY_TEXT_MAX])
{
    char secret[SECRET_BYTES], letters[KEY_TEXT_MAX];
    random_bytes(secret, sizeof secret);
    size_t size =
        base64_encode(slice_of(secret, sizeof secret), BASE64_URL | BASE64_UNPADDED, letters);
    snprintf(ret_key, KEY_TEXT_MAX, "%s_%.*s", prefix, (int)size, letters);
}

static void write_line(struct json_writer *writer, const struct wish *wish, const char *digest)
{
    json_write_object(writer);
    json_put_text(writer, "name", slice_of_text(wish->name));
    json_put_text(writer, "sha256", slice_of_text(digest));
    if (wish->plan)
        json_put_text(writer, "plan", slice_of_text(wish->plan));
    if (wish->until)
        json_put_i64(writer, "exp", wish->until);
    json_write_object_end(writer);
}

static int print(const struct wish *wish, const char *key, const char *digest)
{
    struct text text = text_growing(0);
    struct json_writer writer;
    json_writer_init(&writer, &text, 0);
    if (wish->is_json) {
        json_write_object(&writer);
        json_put_text(&writer, "key", slice_of_text(key));
        json_write_key(&writer, SLICE("line"));
    }
    write_line(&writer, wish, digest);
    if (wish->is_json)
        json_write_object_end(&writer);
    text_add_char(&text, '\n');
    bool is_printed = !text.failed && fwrite(text.data, 1, text.size, stdout) == text.size;
    text_release(&text);
    if (is_printed && !wish->is_json)
        fprintf(stderr, "weir: the key of %s, shown this once: %s\n", wish->name, key);
    return is_printed ? EXIT_DONE : EXIT_FAILED;
}

static const char *problem_of(struct wish *wish)
{
    int64_t life;
    const char *why;
    if (!*wish->name || strlen(wish->name) > KEY_NAME_MAX)
        return "a name has 1 to 200 bytes";
    if (strlen(wish->prefix) > PREFIX_MAX ||
        strspn(wish->prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") !=
            strlen(wish->prefix))
        return "a prefix has up to 20 letters and digits";
    if (!wish->expires)
        return NULL;
    if (unit_parse_duration(slice_of_text(wish->expires), &life, &why) || life <= 0)
        return "--expires takes a duration: 90d";
    wish->until = (clock_wall() + life) / SECOND;
    return NULL;
}

static int run(int count, char **words)
{
    struct wish wish = {.prefix = "weir"};
    char key[KEY_TEXT_MAX], digest[TLS_DIGEST_SIZE];
    const struct argument taken[] = {{.value = &wish.name, .is_required = true},
        {.name = "--plan", .value = &wish.plan}, {.name = "--expires", .value = &wish.expires},
        {.name = "--prefix", .value = &wish.prefix}, {.name = "--json", .flag = &wish.is_json},
        {0}};
    int code = arguments_read(&key_command, count, words, taken);
    if (code)
        return code;
    const char *problem = problem_of(&wish);
    if (problem)
        return command_usage(&key_command, problem);
    make_key(wish.prefix, key);
    return tls_digest(slice_of_text(key), digest) ? EXIT_FAILED : print(&wish, key, digest);
}

static const char *const options[] = {"--plan", "--expires", "--prefix", "--json", NULL};

const struct command key_command = {.name = "key",
    .arguments = "NAME [--plan PLAN] [--expires 90d] [--prefix shop] [--json]",
    .summary =
        "Makes an API key for a consumer, and its line for a file of `auth: {…: {keys: …}}`.",
    .help =
        "The line goes to standard output, so that it can be appended to the file; it holds the\n"
        "key's digest only. The key itself is shown once, on standard error.",
    .options = options,
    .run = run};
