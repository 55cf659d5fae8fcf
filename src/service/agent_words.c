#include "service/agent_words.h"

#include <stddef.h>

static const struct word {
    const char *text;
    size_t member;
    enum agent_answer answer;
} words[] = {
    {"yes", offsetof(struct agent_said, overloaded), AGENT_YES},
    {"no", offsetof(struct agent_said, overloaded), AGENT_NO},
    {"drain", offsetof(struct agent_said, out), AGENT_YES},
    {"maint", offsetof(struct agent_said, out), AGENT_YES},
    {"ready", offsetof(struct agent_said, out), AGENT_NO},
    {"down", offsetof(struct agent_said, down), AGENT_YES},
    {"fail", offsetof(struct agent_said, down), AGENT_YES},
    {"failed", offsetof(struct agent_said, down), AGENT_YES},
    {"stopped", offsetof(struct agent_said, down), AGENT_YES},
    {"up", offsetof(struct agent_said, down), AGENT_NO},
};

#define PERCENT_MOST 1000

static bool read_limit(struct slice word, struct agent_said *said)
{
    uint64_t number;
    if (!slice_to_u64(word, &number) || number > UINT32_MAX)
        return false;
    said->has_limit = true;
    said->limit = (uint32_t)number;
    return true;
}

static bool read_percentage(struct slice word, struct agent_said *said)
{
    uint64_t number;
    if (!slice_has_suffix(word, SLICE("%")) ||
        !slice_to_u64(slice_head(word, word.size - 1), &number) || number > PERCENT_MOST)
        return false;
    said->overloaded = number ? AGENT_NO : AGENT_YES;
    said->has_share = number > 0;
    said->share = (double)number / 100;
    return true;
}

static bool read_number(struct slice word, struct agent_said *said)
{
    struct slice prefix = SLICE("maxconn:");
    return slice_has_prefix(word, prefix) ? read_limit(slice_from(word, prefix.size), said)
                                          : read_percentage(word, said);
}

static bool read_word(struct slice word, struct agent_said *said)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!slice_equal_nocase(word, slice_of_text(words[i].text)))
            continue;
        *(enum agent_answer *)(void *)((char *)said + words[i].member) = words[i].answer;
        return true;
    }
    return read_number(word, said);
}

static bool is_between(char c)
{
    return c == ' ' || c == '\t' || c == ',' || c == '\r';
}

enum status agent_words_parse(struct slice text, struct agent_said *ret_said)
{
    struct agent_said said = {.why = SLICE_NONE};
    struct slice line = slice_head(text, slice_find(text, '\n'));
    size_t reason = slice_find(line, '#'), count = 0;
    said.why = slice_trim(slice_from(line, reason + 1));
    line = slice_head(line, reason);
    for (size_t i = 0, size; i < line.size; i += size) {
        size = 1;
        if (is_between(line.data[i]))
            continue;
        while (i + size < line.size && !is_between(line.data[i + size]))
            size++;
        if (!read_word(slice_of(line.data + i, size), &said))
            return INVALID;
        count++;
    }
    if (count == 0)
        return INVALID;
    *ret_said = said;
    return OK;
}
