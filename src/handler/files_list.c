#include "handler/files_list.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/grow.h"
#include "base/text.h"
#include "http/uri.h"

struct entry {
    struct slice name; /* in the arena */
    int64_t size, modified;
    bool is_folder;
};

struct entries {
    struct entry *items; /* owned */
    size_t count, capacity;
    bool is_cut;
};

static int compare(const void *a, const void *b)
{
    const struct entry *one = a, *two = b;
    if (one->is_folder != two->is_folder)
        return two->is_folder - one->is_folder;
    return slice_compare(one->name, two->name);
}

/* Regular files and folders; a link is shown as what it is, since what it leads to may lie outside.
 */
static enum status add_entry(
    struct arena *arena, struct entries *entries, int folder, const char *name)
{
    struct stat stat;
    if (fstatat(folder, name, &stat, AT_SYMLINK_NOFOLLOW) ||
        !(S_ISREG(stat.st_mode) || S_ISDIR(stat.st_mode) || S_ISLNK(stat.st_mode)))
        return OK;
    struct slice copy = arena_copy(arena, slice_of_text(name));
    if (!copy.data ||
        !grow_for_one(&entries->items, &entries->capacity, entries->count, sizeof *entries->items))
        return NO_MEMORY;
    entries->items[entries->count++] =
        (struct entry){copy, stat.st_size, stat.st_mtime, S_ISDIR(stat.st_mode)};
    return OK;
}

static enum status read_entries(
    struct arena *arena, int folder, bool shows_hidden, struct entries *entries)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream) {
        if (fd >= 0)
            close(fd);
        return NOT_FOUND;
    }
    enum status e = OK;
    const struct dirent *entry;
    while (!e && !entries->is_cut && (entry = readdir(stream))) {
        bool is_self = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        if (is_self || (entry->d_name[0] == '.' && !shows_hidden))
            continue;
        entries->is_cut = entries->count == FILES_LIST_MAX;
        if (!entries->is_cut)
            e = add_entry(arena, entries, folder, entry->d_name);
    }
    closedir(stream);
    if (!e && entries->count)
        qsort(entries->items, entries->count, sizeof *entries->items, compare);
    return e;
}

static void add_row(struct arena *arena, struct text *text, const struct entry *entry)
{
    struct slice slash = entry->is_folder ? SLICE("/") : SLICE("");
    char date[ISO_TIME_SIZE];
    clock_iso_time(entry->modified * SECOND, date);
    /* "./", so that a name with a colon is no scheme. */
    text_add_literal(text, "<tr><td><a href=\"./");
    text_add(text, uri_encode(arena, entry->name));
    text_add(text, slash);
    text_add_literal(text, "\">");
    text_add_html(text, entry->name);
    text_add(text, slash);
    text_add_literal(text, "</a><td>");
    if (!entry->is_folder)
        text_add_i64(text, entry->size);
    text_add_literal(text, "<td>");
    text_add(text, slice_of(date, 10));
    text_add_char(text, ' ');
    text_add(text, slice_of(date + 11, 5));
    text_add_char(text, '\n');
}

static void add_page(
    struct arena *arena, struct text *text, struct slice path, const struct entries *entries)
{
    text_add_literal(text, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
                           "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
    text_add_html(text, path);
    text_add_literal(text,
        "</title>\n<style>body{font:1rem/1.5 system-ui,sans-serif;margin:2rem}"
        "td{padding:0 2rem 0 0}td:nth-child(2){text-align:right;font-variant-numeric:tabular-nums}"
        "</style>\n<h1>");
    text_add_html(text, path);
    text_add_literal(text, "</h1>\n<table>\n");
    if (path.size > 1)
        text_add_literal(text, "<tr><td><a href=\"../\">../</a><td><td>\n");
    for (size_t i = 0; i < entries->count; i++)
        add_row(arena, text, &entries->items[i]);
    text_add_literal(text, "</table>\n");
    if (entries->is_cut)
        text_add_literal(text, "<p>There are more.\n");
}

enum status files_list(
    struct arena *arena, int folder, struct slice path, bool shows_hidden, struct slice *ret_html)
{
    struct entries entries = {.items = NULL};
    struct text text = text_growing(0);
    struct slice html = SLICE_NONE;
    enum status e = read_entries(arena, folder, shows_hidden, &entries);
    if (!e) {
        add_page(arena, &text, path, &entries);
        html = text.failed ? SLICE_NONE : arena_copy(arena, text_slice(&text));
        e = html.data ? OK : NO_MEMORY;
    }
    free(entries.items);
    text_release(&text);
    if (!e)
        *ret_html = html;
    return e;
}
