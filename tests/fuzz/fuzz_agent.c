/* Agents' lines: what is taken says something, and a reason lies in the text. */
#include "base/must.h"
#include "service/agent_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    struct agent_said said;
    if (agent_words_parse(text, &said))
        return 0;
    must(!said.has_share || (said.share > 0 && said.share <= 10));
    must(said.why.size == 0 ||
         (said.why.data > text.data && said.why.data + said.why.size <= text.data + text.size));
    return 0;
}
