#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "run/tls_core.h"

static bool is_about_certificate(int reason)
{
    return reason == SSL_R_CERTIFICATE_VERIFY_FAILED ||
           reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
}

/* OpenSSL numbers the alerts that the peer sent from SSL_AD_REASON_OFFSET on. */
static void note_alert(struct tls *tls)
{
    int alert = tls->reason - SSL_AD_REASON_OFFSET;
    if (alert >= 0 && alert <= UINT8_MAX)
        tls->alert = alert;
}

static enum status status_of_reason(struct tls *tls)
{
    unsigned long error = ERR_peek_error();
    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
        return NO_MEMORY;
    tls->reason = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
    tls->error = error;
    note_alert(tls);
    tls->verdict = SSL_get_verify_result(tls->ssl);
    if (tls->is_ready || tls->reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return CLOSED;
    if (is_about_certificate(tls->reason))
        return TLS_CERTIFICATE;
    return tls->alert >= 0 ? TLS_ALERT : TLS_PROTOCOL;
}

enum status tls_failure(struct tls *tls, int result)
{
    int kind = SSL_get_error(tls->ssl, result);
    if (kind == SSL_ERROR_WANT_READ)
        return INCOMPLETE;
    if (kind == SSL_ERROR_ZERO_RETURN)
        return END;
    if (tls->below_outcome)
        tls->outcome = tls->below_outcome;
    else if (!tls->is_ready && tls->out_outcome)
        tls->outcome = tls->out_outcome;
    else if (kind == SSL_ERROR_SSL)
        tls->outcome = status_of_reason(tls);
    else
        tls->outcome = CLOSED;
    ERR_clear_error();
    return tls->outcome;
}

const char *tls_trouble(const struct stream *stream)
{
    const struct tls *tls = tls_of(stream);
    if (!tls || !tls->error)
        return "";
    if (tls->reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return X509_verify_cert_error_string(tls->verdict);
    const char *text = ERR_reason_error_string(tls->error);
    return text ? text : "";
}

int tls_alert(const struct stream *stream)
{
    const struct tls *tls = tls_of(stream);
    return tls ? tls->alert : -1;
}

struct stream *tls_below(const struct stream *stream)
{
    const struct tls *tls = tls_of(stream);
    return tls ? tls->below : NULL;
}
