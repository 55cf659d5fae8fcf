#include "base/status.h"

#include "base/must.h"

struct status_text {
    const char *word;
    const char *sentence;
    const char *proxy_error;
    int http;
};

static const struct status_text table[STATUS_COUNT] = {
#define STATUS(name, word, http, proxy, sentence) [name] = {word, sentence, proxy, http},
#include "base/status.def"
#undef STATUS
};

static const struct status_text *text_of(enum status e)
{
    must((unsigned)e < STATUS_COUNT);
    return &table[e];
}

const char *status_word(enum status e)
{
    return text_of(e)->word;
}

const char *status_sentence(enum status e)
{
    return text_of(e)->sentence;
}

int status_http(enum status e)
{
    return text_of(e)->http;
}

const char *status_proxy_error(enum status e)
{
    return text_of(e)->proxy_error;
}
