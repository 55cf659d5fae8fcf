#include "support/service_text.h"

void service_text_read(struct service_text *text, const char *yaml)
{
    config_read_clean(&text->config, yaml, &service_table, &text->options);
}
