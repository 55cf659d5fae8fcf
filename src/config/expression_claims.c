#include "config/expression_claims.h"

#include "base/json.h"

/* Text, numbers, flags and lists of these; null and objects are missing. */
static void convert(struct exchange *x, const struct json_value *claim, struct value *ret_value);

static void convert_list(
    struct exchange *x, const struct json_value *claim, struct value *ret_value)
{
    struct value *items = arena_array(&x->arena, claim->count + 1, sizeof *items);
    size_t count = 0;
    if (!items)
        return;
    json_each (item, claim)
        if (item->type != JSON_ARRAY)
            convert(x, item, &items[count++]);
    *ret_value = (struct value){.kind = VALUE_LIST, .items = items, .count = count};
}

static void convert(struct exchange *x, const struct json_value *claim, struct value *ret_value)
{
    switch (claim->type) {
    case JSON_STRING:
        *ret_value = (struct value){.kind = VALUE_TEXT, .text = claim->text};
        return;
    case JSON_NUMBER:
        if (!json_to_double(claim->text, &ret_value->number))
            ret_value->kind = VALUE_NUMBER;
        return;
    case JSON_BOOLEAN:
        *ret_value = (struct value){.kind = VALUE_FLAG, .flag = claim->boolean};
        return;
    case JSON_ARRAY:
        convert_list(x, claim, ret_value);
        return;
    case JSON_NULL:
    case JSON_OBJECT:
        return;
    }
}

void read_claims(struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    const struct json_value *claim = x->claims;
    for (size_t i = 0; i < operand->count; i++)
        claim = json_get(claim, operand->names[i]);
    if (claim)
        convert(x, claim, ret_value);
}
