#include "support/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status config_begin(struct config *config, struct slice text)
{
    *config = (struct config){.source = {SLICE("test.yaml"), text}};
    arena_init(&config->arena, 0, 0);
    diagnostics_init(&config->diagnostics, &config->arena);
    config->reader = (struct reader){.arena = &config->arena, .diagnostics = &config->diagnostics};
    return tree_read(&config->arena, &config->source, NULL, &config->diagnostics, &config->root);
}

void config_end(struct config *config)
{
    arena_release(&config->arena);
}

static void show(struct config *config)
{
    struct text text = text_growing(0);
    diagnostics_print(&config->diagnostics, false, &text);
    fwrite(text.data, 1, text.size, stderr);
    text_release(&text);
}

static bool has_part(struct slice s, const char *part)
{
    return !part || slice_find_slice(s, slice_of_text(part)) < s.size || *part == '\0';
}

bool config_complains(struct config *config, const struct malformed *wanted)
{
    struct text scratch = text_growing(0);
    diagnostics_print(&config->diagnostics, false, &scratch); /* sorts them */
    text_release(&scratch);
    const struct diagnostic *first = config->diagnostics.count ? config->diagnostics.items : NULL;
    if (first && first->place.line == wanted->line && first->place.column == wanted->column &&
        has_part(first->message, wanted->says) && has_part(first->hint, wanted->hints))
        return true;
    print_error("wanted %u:%u: %s (%s) for:\n%s\ngot:\n", wanted->line, wanted->column,
        wanted->says, wanted->hints ? wanted->hints : "", wanted->text);
    show(config);
    return false;
}

void config_check_clean(struct config *config)
{
    if (config->diagnostics.count) {
        show(config);
        fail_msg("complaints where none should be");
    }
}

void config_read(
    struct config *config, const char *text, const struct option_table *table, void *options)
{
    memset(options, 0, table->size);
    assert_ok(config_begin(config, slice_of_text(text)));
    (void)option_read(&config->reader, table, config->root, options);
}

void config_read_clean(
    struct config *config, const char *text, const struct option_table *table, void *options)
{
    config_read(config, text, table, options);
    config_check_clean(config);
}

void config_check_malformed(
    const struct option_table *table, const struct malformed *cases, size_t count)
{
    void *options = malloc(table->size);
    size_t wrong = 0;
    assert_non_null(options);
    for (size_t i = 0; i < count; i++) {
        struct config config;
        config_read(&config, cases[i].text, table, options);
        wrong += !config_complains(&config, &cases[i]);
        config_end(&config);
    }
    free(options);
    assert_int_equal(wrong, 0);
}
