#include "policy/reserved_fields.h"

const char *reserved_field_problem(struct slice name)
{
    if (!field_name_is_valid(name))
        return "it is no field name";
    switch ((int)field_id_of(name)) {
    case FIELD_CONTENT_LENGTH:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_TRAILER:
        return "it says where the message ends, which only the gateway knows";
    case FIELD_CONNECTION:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TE:
    case FIELD_UPGRADE:
    case FIELD_EXPECT:
        return "it is about one connection, and the gateway has two";
    case FIELD_HOST:
        return "it says where the request goes; use \"rewrite: {host: …}\"";
    default:
        return NULL;
    }
}
