/* Lists of entity tags: the list is walked to its end without leaving it, and what a strong
 * comparison finds a weak one finds too. */
#include "base/must.h"
#include "handler/files_condition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice list = slice_of((const char *)data, size), tag = SLICE("\"a\"");
    bool is_there = etag_list_has(list, tag, true);
    must(is_there || !etag_list_has(list, tag, false));
    must(!is_there || slice_equal(slice_trim(list), SLICE("*")) ||
         slice_find_slice(list, tag) < list.size);
    return 0;
}
