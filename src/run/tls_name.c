#include "run/tls_core.h"

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Two bytes, the high one first. */
static size_t number_at(struct slice s, size_t at)
{
    return (size_t)(unsigned char)s.data[at] << 8 | (unsigned char)s.data[at + 1];
}

bool tls_lower_name(struct slice name, char ret_name[TLS_NAME_MAX + 1])
{
    ret_name[0] = '\0';
    if (name.size == 0 || name.size > TLS_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        ret_name[i] = lower(name.data[i]);
        if (!is_name_byte(ret_name[i])) {
            ret_name[0] = '\0';
            return false;
        }
    }
    ret_name[name.size] = '\0';
    return true;
}

/* A list with its length; one entry: the kind (0: a DNS name), a length, the name. */
void tls_read_name(struct slice extension, char ret_name[TLS_NAME_MAX + 1])
{
    ret_name[0] = '\0';
    if (extension.size < 5 || number_at(extension, 0) != extension.size - 2)
        return;
    if (extension.data[2] != 0 || number_at(extension, 3) != extension.size - 5)
        return;
    (void)tls_lower_name(slice_from(extension, 5), ret_name);
}

bool tls_asks_only_for(struct slice extension, struct slice protocol)
{
    return extension.size == protocol.size + 3 && number_at(extension, 0) == protocol.size + 1 &&
           (unsigned char)extension.data[2] == protocol.size &&
           slice_equal(slice_from(extension, 3), protocol);
}
