#include "main/service_words.h"

double double_member(const struct json_value *object, const char *key)
{
    const struct json_value *value = json_get(object, slice_of_text(key));
    double number = 0;
    if (value && value->type == JSON_NUMBER)
        (void)json_to_double(value->text, &number);
    return number;
}

void breaker_words(const struct json_value *of, struct text *text)
{
    struct slice state = SLICE_NONE;
    double left = double_member(of, "breaker_open_for_seconds");
    json_get_text(of, SLICE("breaker"), &state);
    if (!state.size || slice_equal(state, SLICE("closed")))
        return;
    text_add(text, state);
    if (left > 0)
        text_format(text, " for %.3g s", left);
}

static void add_part(struct text *text, const char *format, double number)
{
    if (number <= 0)
        return;
    text_add(text, text->size ? SLICE("; ") : SLICE_NONE);
    text_format(text, format, number);
}

void service_words(const struct json_value *service, struct text *text)
{
    char room[64];
    struct text breaker = text_fixed(room, sizeof room);
    breaker_words(service, &breaker);
    if (breaker.size)
        text_format(text, "breaker %.*s", SLICE_ARG(text_slice(&breaker)));
    add_part(text, "%.0f wait", double_member(service, "waiting"));
    add_part(text, "at most %.0f at a time", double_member(service, "concurrency_limit"));
    add_part(text, "%.3g%% kept away", double_member(service, "pressure") * 100);
}

long long number_member(const struct json_value *object, const char *key)
{
    return json_number_of(object, key);
}
