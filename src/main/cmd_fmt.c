#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/document.h"
#include "gateway/options.h"
#include "main/arguments.h"
#include "main/load.h"

#define FILE_MAX ((size_t)16 << 20)

struct format {
    const char *path;
    bool is_long, writes, checks;
};

/* A new file with the owner and the mode of an old one; who may not give files away leaves it at
 * the mode. */
static FILE *open_like(const char *path, const struct stat *old)
{
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return NULL;
    int ignored = fchown(descriptor, old->st_uid, old->st_gid);
    (void)ignored;
    FILE *file = fchmod(descriptor, old->st_mode & 07777) ? NULL : fdopen(descriptor, "w");
    if (!file)
        close(descriptor);
    return file;
}

static bool write_file(FILE *file, struct slice content)
{
    bool is_written = fwrite(content.data, 1, content.size, file) == content.size &&
                      fflush(file) == 0 && fsync(fileno(file)) == 0;
    return fclose(file) == 0 && is_written;
}

static bool write_beside(const char *path, const char *temporary, struct slice content)
{
    struct stat old;
    if (stat(path, &old))
        return false;
    (void)unlink(temporary); /* of a run that crashed */
    FILE *file = open_like(temporary, &old);
    if (file && write_file(file, content) && rename(temporary, path) == 0)
        return true;
    int error = errno;
    (void)unlink(temporary);
    errno = error;
    return false;
}

/* Written beside the file, then put in its place: a crash leaves one or the other. Where the path
 * is a symbolic link, that is the file that it leads to. */
static int replace_file(const char *path, struct slice content)
{
    char *real = realpath(path, NULL), *temporary = NULL;
    bool is_done = real && asprintf(&temporary, "%s.weir-fmt", real) >= 0 &&
                   write_beside(real, temporary, content);
    if (!is_done)
        fprintf(stderr, "weir fmt: cannot write %s: %s\n", path, strerror(errno));
    free(temporary);
    free(real);
    return is_done ? EXIT_DONE : EXIT_FAILED;
}

static int deliver(const struct format *format, const struct source *source, struct slice result)
{
    bool is_same = slice_equal(source->text, result);
    if (format->checks) {
        if (!is_same)
            printf("%s\n", format->path);
        return is_same ? EXIT_DONE : EXIT_FAILED;
    }
    if (format->writes)
        return is_same ? EXIT_DONE : replace_file(format->path, result);
    return fwrite(result.data, 1, result.size, stdout) == result.size ? EXIT_DONE : EXIT_FAILED;
}

#define LEVELS_MAX 16 /* of short forms in short forms */

/* Writing out a short form may bring another to light: until there is none. */
static enum status format_text(const struct format *format, struct arena *arena,
    const struct source *source, struct diagnostics *diagnostics, struct text *text)
{
    struct source written = *source;
    for (int level = 0; level < LEVELS_MAX; level++) {
        text_clear(text);
        enum status e =
            document_format(&written, &gateway_table, format->is_long, diagnostics, text);
        if (e || !format->is_long || slice_equal(written.text, text_slice(text)))
            return e;
        written.text = arena_copy(arena, text_slice(text));
        if (!written.text.data)
            return NO_MEMORY;
    }
    return OK;
}

static int format_file(const struct format *format, struct arena *arena)
{
    const struct source *source;
    struct diagnostics diagnostics;
    struct text text = text_growing(0);
    diagnostics_init(&diagnostics, arena);
    enum status e = source_read(arena, slice_of_text(format->path), FILE_MAX, &source);
    if (e) {
        fprintf(stderr, "weir fmt: %s: %s\n", format->path, status_sentence(e));
        return EXIT_FAILED;
    }
    e = format_text(format, arena, source, &diagnostics, &text);
    if (diagnostics.count)
        print_diagnostics(&diagnostics, false);
    int code = e ? EXIT_CONFIG : deliver(format, source, text_slice(&text));
    text_release(&text);
    return code;
}

static int run(int count, char **words)
{
    struct format format = {.path = NULL};
    const struct argument taken[] = {{.value = &format.path, .is_required = true},
        {.name = "--long", .flag = &format.is_long}, {.name = "--write", .flag = &format.writes},
        {.name = "--check", .flag = &format.checks}, {0}};
    int code = arguments_read(&fmt_command, count, words, taken);
    if (code)
        return code;
    struct arena arena;
    arena_init(&arena, 0, 0);
    code = format_file(&format, &arena);
    arena_release(&arena);
    return code;
}

static const char *const options[] = {"--long", "--write", "--check", NULL};

const struct command fmt_command = {.name = "fmt",
    .arguments = "FILE [--long] [--write | --check]",
    .summary = "Formats a configuration and keeps its comments.",
    .help =
        "--long writes every short form as its long one; --write puts the result into the file;\n"
        "--check prints the file's name and exits with 1 when it is not formatted.",
    .options = options,
    .run = run};
