/* Any bytes as a list of addresses: what is taken is what each line says alone, and what is not is
 * told in printable words. */
#include "base/must.h"
#include "policy/ip_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct address address_of(const struct network *network)
{
    char room[64];
    struct address address;
    const unsigned char *b = network->bytes;
    struct text text = text_fixed(room, sizeof room);
    for (int i = 0; i < 16; i += 2)
        text_format(&text, "%s%x", i ? ":" : "", b[i] << 8 | b[i + 1]);
    must(!address_parse_ip(text_slice(&text), 0, &address));
    return address;
}

static void check_lines(struct slice text, const struct ip_set *set, size_t count)
{
    struct slice line;
    size_t found = 0;
    while (slice_split(&text, '\n', &line)) {
        struct network network;
        line = slice_head(line, slice_find(line, '#'));
        line = slice_head(line, slice_find(line, ';'));
        if (slice_has_suffix(line, SLICE("\r")))
            line.size--;
        line = slice_trim(line);
        if (line.size == 0)
            continue;
        must(!network_parse(line, &network));
        struct address address = address_of(&network);
        must(ip_set_has(set, &address));
        found++;
    }
    must(found == count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    char room[WATCHED_TROUBLE_MAX];
    struct text trouble = text_fixed(room, sizeof room);
    const struct ip_set *set;
    struct arena arena;
    size_t count;
    arena_init(&arena, 0, 0);
    enum status e = ip_file_read(&arena, text, &trouble, &set, &count);
    must(e == OK || e == INVALID);
    if (!e)
        check_lines(text, set, count);
    must(!e || trouble.size > 0);
    for (size_t i = 0; e && i < trouble.size; i++)
        must((unsigned char)room[i] >= 0x20);
    arena_release(&arena);
    return 0;
}
