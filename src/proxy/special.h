/* Special addresses: those that are not the public Internet's (RFC 6890 and IANA's two registries
 * of special-purpose addresses). Behind them stand this machine, its neighbours, and the services
 * by which clouds tell a machine its secrets: no stranger should get there through a proxy. */
#pragma once

#include "run/address.h"

/* True unless it is unspecified, loopback, private, shared, link-local, multicast, reserved, for
 * documentation or benchmarks, or a translation or mapping of such an IPv4 address; or a unix path.
 */
bool address_is_public(const struct address *address);
