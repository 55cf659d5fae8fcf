#include "config/pattern.h"
#include "service/check_question.h"

static bool has_status(const struct option_list *ranges, int status)
{
    const struct status_range *range = ranges->items;
    for (size_t i = 0; i < ranges->count; i++)
        if (status >= range[i].from && status <= range[i].to)
            return true;
    return false;
}

static bool matches(const struct pattern *pattern, struct slice subject)
{
    struct slice groups[PATTERN_GROUPS_MAX];
    return pattern_match(pattern, subject, false, groups) == OK;
}

static bool contains(const struct expectation *wanted, struct slice text)
{
    if (wanted->pattern)
        return matches(wanted->pattern, text);
    return wanted->text.size == 0 || slice_find_slice(text, wanted->text) < text.size;
}

static bool is_value(const struct expectation *wanted, struct slice value)
{
    if (!value.data)
        return false;
    if (wanted->pattern)
        return matches(wanted->pattern, value);
    return wanted->text.size == 0 || slice_equal(value, wanted->text);
}

bool check_is_expected(
    const struct question *q, const struct health_options *how, struct text *trouble)
{
    if (!has_status(&how->expect, q->response.status)) {
        text_format(trouble, "status %d", q->response.status);
        return false;
    }
    for (size_t i = 0; i < how->headers.count; i++) {
        const struct option_map_entry *entry = &how->headers.entries[i];
        struct slice value = fields_value_named(&q->response.fields, entry->key);
        if (is_value(entry->value, value))
            continue;
        text_format(trouble, value.data ? "another %.*s" : "no field %.*s",
            SLICE_ARG(slice_head(entry->key, 40)));
        return false;
    }
    if (how->has_body && !contains(&how->body, q->body)) {
        text_add_literal(trouble, "another body");
        return false;
    }
    return true;
}
