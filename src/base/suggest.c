#include "base/suggest.h"

void suggest_begin(struct suggestion *suggestion, struct slice written)
{
    size_t allowed = written.size == 2 ? 1 : written.size / 3;
    *suggestion = (struct suggestion){.written = written, .distance = allowed + 1};
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static bool is_same(char a, char b)
{
    return lower(a) == lower(b);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Row i of the usual table holds the distances of a's first i letters to each beginning of b; three
 * rows are alive at a time, since a swap looks two back. */
static size_t distance(struct slice a, struct slice b)
{
    size_t rows[3][SUGGEST_SIZE_MAX + 1];
    for (size_t j = 0; j <= b.size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *higher = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t change = above[j - 1] + !is_same(a.data[i - 1], b.data[j - 1]);
            row[j] = least(change, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && is_same(a.data[i - 1], b.data[j - 2]) &&
                is_same(a.data[i - 2], b.data[j - 1]))
                row[j] = least(row[j], higher[j - 2] + 1);
        }
    }
    return rows[a.size % 3][b.size];
}

void suggest_offer(struct suggestion *suggestion, struct slice name)
{
    struct slice written = suggestion->written;
    size_t longer = written.size > name.size ? written.size : name.size;
    size_t shorter = least(written.size, name.size);
    if (!name.size || longer > SUGGEST_SIZE_MAX || longer - shorter >= suggestion->distance)
        return;
    size_t found = distance(written, name);
    if (found < suggestion->distance) {
        suggestion->best = name;
        suggestion->distance = found;
    }
}

struct slice suggest_among(struct slice written, const struct slice *names, size_t count)
{
    struct suggestion suggestion;
    suggest_begin(&suggestion, written);
    for (size_t i = 0; i < count; i++)
        suggest_offer(&suggestion, names[i]);
    return suggestion.best;
}
