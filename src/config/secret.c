#include "config/secret.h"

#include "base/hash.h"

static enum status note_file(struct reader *reader, struct slice path)
{
    if (!reader->secrets)
        return OK;
    struct secret_file *file = arena_new(reader->arena, struct secret_file);
    if (!file)
        return NO_MEMORY;
    *file = (struct secret_file){*reader->secrets, path, source_stamp(path)};
    *reader->secrets = file;
    return OK;
}

/* Without the end of the line that editors and `echo` put behind it. */
static struct slice without_end(struct slice text)
{
    if (slice_has_suffix(text, SLICE("\n")))
        text.size--;
    if (slice_has_suffix(text, SLICE("\r")))
        text.size--;
    return text;
}

/* It is looked at before it is read: one that changes in between is seen to have changed. */
static enum status read_file(
    struct reader *reader, struct slice name, struct place place, struct slice *ret_secret)
{
    const struct source *source;
    struct slice path = source_path(reader->arena, place.source, name);
    enum status e = path.data ? note_file(reader, path) : NO_MEMORY;
    if (!e)
        e = source_read(reader->arena, path, SECRET_SIZE_MAX, &source);
    if (e == NO_MEMORY)
        return e;
    struct slice secret = e ? SLICE_NONE : without_end(source->text);
    if (!secret.size)
        return diagnostics_error(reader->diagnostics, place, SLICE_NONE,
            "the secret's file \"%.*s\" %s%s", SLICE_ARG(slice_head(name, 200)),
            e ? "cannot be read: " : "is empty", e ? status_sentence(e) : "");
    *ret_secret = secret;
    return OK;
}

static enum status hide(struct reader *reader, const struct node *node)
{
    if (node->kind != NODE_SCALAR || node->is_from_environment)
        return OK;
    return diagnostics_hide(reader->diagnostics, node->place);
}

/* In a form that is none: somebody may have meant a secret by it. */
static enum status hide_parts(struct reader *reader, const struct node *node)
{
    enum status e = OK;
    for (size_t i = 0; !e && i < node->count; i++)
        e = hide(reader, node->kind == NODE_LIST ? node->items[i] : node->entries[i].value);
    return e ? e : NOT_FOUND;
}

enum status secret_read(struct reader *reader, const struct node *node, struct slice *ret_secret)
{
    const struct node *name = node_get(node, SLICE("file"));
    if (node->kind == NODE_SCALAR) {
        *ret_secret = node->text;
        return hide(reader, node);
    }
    if (node->kind != NODE_MAP || node->count != 1 || !name || name->kind != NODE_SCALAR ||
        !name->text.size)
        return hide_parts(reader, node);
    return read_file(reader, name->text, name->place, ret_secret);
}

uint64_t secret_files_stamp(const struct secret_file *files)
{
    uint64_t stamp = 0;
    for (; files; files = files->next)
        stamp = stamp * 31 + source_stamp(files->path);
    return stamp;
}

uint64_t secret_files_stamp_read(const struct secret_file *files)
{
    uint64_t stamp = 0;
    for (; files; files = files->next)
        stamp = stamp * 31 + files->stamp;
    return stamp;
}
