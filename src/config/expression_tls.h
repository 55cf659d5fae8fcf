/* What expressions can ask about TLS on the client's connection: for the table of roots alone.
 * Without TLS, or without a client's certificate, all of it is missing. */
#pragma once

#include "config/expression_root.h"

typedef void root_read(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value);

root_read read_tls_version, read_tls_cipher, read_tls_sni, read_tls_alpn;
root_read read_cert_subject, read_cert_issuer, read_cert_serial, read_cert_fingerprint,
    read_cert_san;
