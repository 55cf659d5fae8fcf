/* The bare forwarder (forwarding.h).
 *
 *     forwarder PORT BACKEND-PORT [WORKERS] */
#include "forwarding.h"

int main(int count, char **arguments)
{
    return run_forwarder(count, arguments, NULL);
}
