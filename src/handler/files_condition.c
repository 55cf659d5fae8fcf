#include "handler/files_condition.h"

#include "base/clock.h"

/* Takes the next entity tag off a list, opaque as RFC 9110 §8.8.3 has it: commas may stand inside.
 * False at the end, or when what follows is no tag. */
static bool next_tag(struct slice *rest, struct slice *ret_tag, bool *ret_weak)
{
    while (rest->size && (rest->data[0] == ',' || rest->data[0] == ' ' || rest->data[0] == '\t'))
        *rest = slice_from(*rest, 1);
    *ret_weak = slice_has_prefix(*rest, SLICE("W/"));
    if (*ret_weak)
        *rest = slice_from(*rest, 2);
    if (rest->size < 2 || rest->data[0] != '"')
        return false;
    size_t end = 1 + slice_find(slice_from(*rest, 1), '"');
    if (end >= rest->size)
        return false;
    *ret_tag = slice_head(*rest, end + 1);
    *rest = slice_from(*rest, end + 1);
    return true;
}

bool etag_list_has(struct slice list, struct slice etag, bool weak)
{
    struct slice tag;
    bool is_weak;
    if (slice_equal(slice_trim(list), SLICE("*")))
        return true;
    while (next_tag(&list, &tag, &is_weak))
        if (slice_equal(tag, etag) && (weak || !is_weak))
            return true;
    return false;
}

/* Fields of that id taken together, as a list field may be split. */
static bool any_has(const struct fields *fields, enum field_id id, struct slice etag, bool weak)
{
    const struct field *field = NULL;
    while ((field = fields_next(fields, id, field)))
        if (etag_list_has(field->value, etag, weak))
            return true;
    return false;
}

/* The field's date; false when there is none, or it is no date, or it stands twice: then it does
 * not count. */
static bool read_date(const struct fields *fields, enum field_id id, int64_t *ret_seconds)
{
    const struct field *field = fields_find(fields, id);
    return field && !fields_next(fields, id, field) &&
           clock_parse_http_date(field->value, ret_seconds);
}

enum condition_verdict condition_evaluate(
    const struct http_request *request, const struct validators *validators)
{
    const struct fields *fields = &request->fields;
    bool is_read = request->method == METHOD_GET || request->method == METHOD_HEAD;
    int64_t date;
    if (fields_find(fields, FIELD_IF_MATCH)) {
        if (!any_has(fields, FIELD_IF_MATCH, validators->etag, false))
            return CONDITION_FAILED;
    } else if (read_date(fields, FIELD_IF_UNMODIFIED_SINCE, &date)) {
        if (validators->last_modified > date)
            return CONDITION_FAILED;
    }
    if (fields_find(fields, FIELD_IF_NONE_MATCH)) {
        if (any_has(fields, FIELD_IF_NONE_MATCH, validators->etag, true))
            return is_read ? CONDITION_NOT_MODIFIED : CONDITION_FAILED;
    } else if (is_read && read_date(fields, FIELD_IF_MODIFIED_SINCE, &date)) {
        if (validators->last_modified <= date)
            return CONDITION_NOT_MODIFIED;
    }
    return CONDITION_PROCEED;
}

bool condition_if_range(const struct http_request *request, const struct validators *validators)
{
    const struct field *field = fields_find(&request->fields, FIELD_IF_RANGE);
    int64_t date;
    if (!field)
        return true;
    if (fields_next(&request->fields, FIELD_IF_RANGE, field))
        return false;
    if (clock_parse_http_date(field->value, &date))
        /* A time is a strong validator only when nothing can have changed in the same second
         * (§8.8.2.2). */
        return date == validators->last_modified && validators->last_modified < validators->now;
    return slice_equal(field->value, validators->etag);
}
