/* Reads any bytes as each of the messages of an authority. What is taken from them ends up in
 * requests, answers and logs: URLs, tokens and problems must be fit for that. */
#include "acme/message.h"
#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_url(struct slice url)
{
    for (size_t i = 0; i < url.size; i++)
        must(url.data[i] > ' ' && url.data[i] < 0x7f);
    must(url.size == 0 || slice_has_prefix(url, SLICE("https://")));
}

static void check_problem(const struct acme_problem *problem)
{
    for (size_t i = 0; i < problem->detail.size; i++)
        must((unsigned char)problem->detail.data[i] >= ' ');
}

static void check_order(const struct acme_order *order)
{
    must(order->authorization_count <= ACME_AUTHORIZATIONS_MAX);
    for (size_t i = 0; i < order->authorization_count; i++)
        check_url(order->authorizations[i]);
    check_url(order->finalize);
    check_url(order->certificate);
    check_problem(&order->problem);
}

static void check_authorization(const struct acme_authorization *authorization)
{
    must(authorization->challenge_count <= ACME_CHALLENGES_MAX);
    for (size_t i = 0; i < authorization->challenge_count; i++) {
        struct slice token = authorization->challenges[i].token;
        check_url(authorization->challenges[i].url);
        must(token.size > 0 && slice_find(token, '/') == token.size &&
             slice_find(token, '\n') == token.size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct acme_directory directory;
    struct acme_order order;
    struct acme_authorization authorization;
    struct acme_problem problem;
    struct slice text = slice_of((const char *)data, size);
    arena_init(&arena, 0, 0);
    if (!acme_read_directory(&arena, text, &directory))
        check_url(directory.new_order);
    if (!acme_read_order(&arena, text, &order))
        check_order(&order);
    if (!acme_read_authorization(&arena, text, &authorization))
        check_authorization(&authorization);
    acme_read_problem(&arena, text, &problem);
    check_problem(&problem);
    int64_t wait = acme_read_retry_after(text, 0);
    must(wait >= 0 && wait <= 86400);
    arena_release(&arena);
    return 0;
}
