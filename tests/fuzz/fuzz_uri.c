/* Paths: what is normal stays as it is when it is made normal again, and has nothing in it that
 * should have gone. Authorities, queries and escapes: nothing crashes, and encoding is undone by
 * decoding. */
#include "http/uri.h"

#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has(struct slice s, const char *needle)
{
    return slice_find_slice(s, slice_of_text(needle)) != s.size;
}

static void check_path(struct arena *arena, struct slice input, enum encoded_slash slashes)
{
    struct slice path, again;
    if (uri_normalise_path(arena, input, slashes, &path))
        return;
    must(path.size && path.data[0] == '/');
    for (size_t i = 0; i < path.size; i++)
        must(path.data[i] > ' ' && path.data[i] < 0x7f && !strchr("\\?#\"<>^`{|}[]", path.data[i]));
    must(!has(path, "/../") && !has(path, "/./"));
    must(!slice_has_suffix(path, SLICE("/..")) && !slice_has_suffix(path, SLICE("/.")));
    must(slashes == ENCODED_SLASH_KEEP || !has(path, "%2F"));
    must(!has(path, "%2e") && !has(path, "%2E") && !has(path, "%00") && !has(path, "%0A"));
    must(uri_normalise_path(arena, path, slashes, &again) == OK);
    must(slice_equal(path, again));
}

static void check_authority(struct arena *arena, struct slice input)
{
    struct slice host, again;
    uint16_t port, port_again;
    if (uri_parse_authority(arena, input, &host, &port))
        return;
    bool is_v6 = slice_find(host, ':') != host.size;
    struct slice parts[] = {SLICE("["), host, SLICE("]")};
    struct slice text = is_v6 ? arena_join(arena, parts, 3) : host;
    must(uri_parse_authority(arena, text, &again, &port_again) == OK);
    must(slice_equal(host, again) && port_again == 0);
}

static void check_escapes(struct arena *arena, struct slice input)
{
    struct slice decoded, name, value, rest = input;
    struct slice encoded = uri_encode(arena, input);
    must(uri_decode(arena, encoded, true, &decoded) == OK && slice_equal(decoded, input));
    (void)uri_decode(arena, input, true, &decoded);
    while (uri_query_next(&rest, &name, &value))
        (void)uri_query_value(arena, input, name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    if (size > 2000)
        return 0;
    struct slice input = slice_of((const char *)data, size);
    arena_init(&arena, 0, 0);
    check_path(&arena, input, ENCODED_SLASH_REFUSE);
    check_path(&arena, input, ENCODED_SLASH_KEEP);
    check_path(&arena, input, ENCODED_SLASH_DECODE);
    check_authority(&arena, input);
    check_escapes(&arena, input);
    arena_release(&arena);
    return 0;
}
