/* Replies of Redis: what is whole lies in what there is, and can be read token by token to its very
 * end; fewer bytes of it are not whole. */
#include "base/must.h"
#include "store/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_token(const struct resp_token *token, struct slice whole)
{
    bool is_list = token->kind == RESP_LIST || token->kind == RESP_PUSH;
    must(!is_list || (token->number >= 0 && token->number <= RESP_LIST_MAX));
    must(!token->text.size || (token->text.data >= whole.data &&
                                  token->text.data + token->text.size <= whole.data + whole.size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of((const char *)data, size);
    size_t whole, part;
    if (resp_size(bytes, &whole))
        return 0;
    must(whole > 0 && whole <= size);
    must(resp_size(slice_head(bytes, whole - 1), &part) == INCOMPLETE);
    struct slice rest = slice_head(bytes, whole);
    while (rest.size) {
        struct resp_token token;
        must(!resp_read(&rest, &token));
        check_token(&token, bytes);
    }
    return 0;
}
