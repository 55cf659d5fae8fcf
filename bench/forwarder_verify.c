/* The bare forwarder, with a bare EVP_DigestVerify (ES256) for each request: what a signature costs
 * where there is nothing else around it.
 *
 *     forwarder_verify PORT BACKEND-PORT [WORKERS]
 *
 * A proxy that computes so much lets the others wait: they sleep, and who sends to them has to wake
 * them, in the kernel and by an interrupt of the other core. That is processor time of the proxy,
 * which a loop of nothing but verifying does not see. Each message is sent at once here, as proxies
 * do. */
#include "forwarding.h"
#include "verify.h"

#define TEXT                                                                           \
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9."                                            \
    "eyJpc3MiOiAiaHR0cHM6Ly9pZC5iZW5jaC5leGFtcGxlIiwgImF1ZCI6ICJiZW5jaCIsICJzdWIiOiAi" \
    "dTEiLCAiZXhwIjogNDEwMjQ0NDgwMCwgInJvbGVzIjogWyJidXllciIsICJyZWFkZXIiXSwgInBsYW4i" \
    "OiAicHJvIn0"

static struct signed_text token = {.text = TEXT, .size = sizeof TEXT - 1};

static void verify_token(void)
{
    verify_text(&token);
}

int main(int count, char **arguments)
{
    token.pair = EVP_EC_gen("P-256");
    check(token.pair != NULL);
    sign_text(&token);
    return run_forwarder(count, arguments, verify_token);
}
