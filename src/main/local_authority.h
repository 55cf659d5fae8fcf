/* An authority of the user's own, for `weir demo --tls`: whoever trusts it gets to
 * https://localhost without a warning. It may vouch for this machine alone (name constraints, RFC
 * 5280 §4.2.1.10), so that a key which is stolen is of no use elsewhere.
 *
 * It is kept below $XDG_DATA_HOME or ~/.local/share, for its owner alone, and used again; its
 * certificate for localhost is made anew before it ends. */
#pragma once

#include "base/status.h"

#define LOCAL_PATH_MAX 512

struct local_authority {
    char authority[LOCAL_PATH_MAX];                 /* whom to trust: ca.pem */
    char cert[LOCAL_PATH_MAX], key[LOCAL_PATH_MAX]; /* of localhost, 127.0.0.1 and ::1 */
};

/* Finds it, or makes what is missing. IO_ERROR: errno says why; NOT_FOUND: there is no folder of
 * the user's; NO_MEMORY: OpenSSL does not want to. */
enum status local_authority_get(struct local_authority *ret_authority);
