#include "config/expression_tls.h"

#include "run/tls.h"

static void set_text(struct value *value, struct slice text)
{
    if (text.size) {
        value->kind = VALUE_TEXT;
        value->text = text;
    }
}

static struct tls_facts facts_of(const struct exchange *x)
{
    struct tls_facts facts = {.version = "", .cipher = ""};
    if (x->supposed)
        return x->supposed->facts;
    if (x->tls)
        (void)tls_facts(x->tls, &facts);
    return facts;
}

static struct tls_certificate certificate_of(const struct exchange *x)
{
    if (x->supposed)
        return x->supposed->certificate;
    const struct tls_certificate *certificate = x->tls ? tls_certificate(x->tls) : NULL;
    return certificate ? *certificate : (struct tls_certificate){.names = NULL};
}

void read_tls_version(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    set_text(ret_value, slice_of_text(facts_of(x).version));
}

void read_tls_cipher(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    set_text(ret_value, slice_of_text(facts_of(x).cipher));
}

void read_tls_sni(struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    set_text(ret_value, facts_of(x).name);
}

void read_tls_alpn(struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    set_text(ret_value, facts_of(x).protocol);
}

void read_cert_subject(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    set_text(ret_value, certificate_of(x).subject);
}

void read_cert_issuer(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    set_text(ret_value, certificate_of(x).issuer);
}

void read_cert_serial(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    set_text(ret_value, certificate_of(x).serial);
}

void read_cert_fingerprint(
    struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    (void)operand;
    set_text(ret_value, certificate_of(x).fingerprint);
}

void read_cert_san(struct exchange *x, const struct root_operand *operand, struct value *ret_value)
{
    struct tls_certificate certificate = certificate_of(x);
    struct value *names = arena_array(&x->arena, certificate.name_count, sizeof *names);
    (void)operand;
    if (!names || certificate.name_count == 0)
        return;
    for (size_t i = 0; i < certificate.name_count; i++)
        set_text(&names[i], certificate.names[i]);
    ret_value->kind = VALUE_LIST;
    ret_value->items = names;
    ret_value->count = certificate.name_count;
}
