#include "handler/handler.h"

#include <sys/stat.h>
#include <unistd.h>

#include "handler/files_answer.h"
#include "handler/files_list.h"
#include "handler/files_open.h"
#include "http/uri.h"

/* Serves what lies below a folder. The request's path is looked up below `root` as it is; a route
 * for a part of the tree takes its prefix off by `rewrite: {strip-prefix: …}`.
 *
 * Nothing outside the root can be reached (files_open), only regular files are served, and names
 * that begin with a dot are not there unless `hidden` says so (but for .well-known). */

struct files {
    struct slice root;
    struct place root_place;
    struct slice index;
    bool lists;
    struct option_list precompressed; /* of int: indices into `variants` */
    struct slice cache_control;
    struct slice fallback;
    bool has_hidden;
    const char *root_path; /* in the arena */
    struct files_variants variants;
};

static const char *const variant_names[] = {"br", "gzip", "zst", NULL};
static const enum encoding variant_encodings[] = {ENCODING_BROTLI, ENCODING_GZIP, ENCODING_ZSTD};

static const struct option variant_item = {
    .name = "encoding", .kind = OPTION_CHOICE, .choices = variant_names};

static const struct option options[] = {
    {"root", OPTION_TEXT, offsetof(struct files, root), .is_required = true,
        .place_offset = offsetof(struct files, root_place),
        .help = "The folder; a relative one is below the folder of the file that names it."},
    {"index", OPTION_TEXT, offsetof(struct files, index), .fallback = "index.html",
        .help = "What is served for a folder."},
    {"list", OPTION_FLAG, offsetof(struct files, lists), .fallback = "false",
        .help = "Whether a folder without an index shows what is in it."},
    {"precompressed", OPTION_LIST, offsetof(struct files, precompressed), .item = &variant_item,
        .item_size = sizeof(int),
        .help = "Which compressed twins (app.js.br, app.js.gz, app.js.zst) may be beside a file, "
                "the preferred first."},
    {"cache-control", OPTION_TEXT, offsetof(struct files, cache_control),
        .help = "The Cache-Control of what is served."},
    {"fallback", OPTION_TEXT, offsetof(struct files, fallback),
        .help = "What is served for paths that are not there and whose last part has no dot: the "
                "page of a single-page application."},
    {"hidden", OPTION_FLAG, offsetof(struct files, has_hidden), .fallback = "false",
        .help = "Whether names that begin with a dot are served."},
    {NULL},
};

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    struct files *files = value;
    (void)node;
    if (files->root.size == 0 || slice_find(files->root, '\0') < files->root.size)
        return diagnostics_error(reader->diagnostics, files->root_place,
            SLICE("for example root: ./public"), "\"root\" names a folder");
    if (!field_value_is_valid(files->cache_control))
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("for example max-age=3600"), "\"cache-control\" cannot stand in a field");
    if (slice_has_prefix(files->fallback, SLICE("/")))
        files->fallback = slice_from(files->fallback, 1);
    const int *chosen = files->precompressed.items;
    for (size_t i = 0; i < files->precompressed.count && i < ENCODING_COUNT; i++)
        files->variants.items[files->variants.count++] = variant_encodings[chosen[i]];
    return OK;
}

static const struct option_table table = {
    .name = "files",
    .help = "Serves files below a folder, with conditional requests, ranges and precompressed "
            "variants.",
    .options = options,
    .size = sizeof(struct files),
    .shorthand = "root",
    .check = check,
    .example = "files: {root: ./public, precompressed: [br, gzip], cache-control: max-age=3600}",
};

static enum status prepare(struct prepare *prepare, void *config)
{
    struct files *files = config;
    files->root_path =
        source_path(prepare->reader->arena, files->root_place.source, files->root).data;
    if (!files->root_path)
        return NO_MEMORY;
    struct stat stat_of_root;
    if (stat(files->root_path, &stat_of_root) || !S_ISDIR(stat_of_root.st_mode))
        diagnostics_warning(prepare->reader->diagnostics, files->root_place, SLICE_NONE,
            "there is no folder \"%s\"", files->root_path);
    return OK;
}

/* --- from the path to a file */

static bool is_hidden(struct slice path)
{
    struct slice segment;
    while (slice_split(&path, '/', &segment))
        if (slice_has_prefix(segment, SLICE(".")) && !slice_equal(segment, SLICE(".well-known")))
            return true;
    return false;
}

/* The path below the root, decoded. An encoded slash would make two segments of what everybody
 * before took for one. */
static enum status path_below_root(
    const struct files *files, struct exchange *x, struct slice *ret_path)
{
    struct slice path = x->request.path, decoded;
    if (!slice_has_prefix(path, SLICE("/")) || slice_find_slice(path, SLICE("%2F")) < path.size)
        return NO_FILE;
    enum status e = uri_decode(&x->arena, slice_from(path, 1), false, &decoded);
    if (e)
        return e == INVALID ? NO_FILE : e;
    if (!files->has_hidden && is_hidden(decoded))
        return NO_FILE;
    *ret_path = decoded;
    return OK;
}

/* One request's way through the folders. */
struct visit {
    const struct files *files;
    struct exchange *x;
    int root;
    struct slice path; /* decoded, below the root */
};

/* A folder's address ends with a slash, or the links of its page would lead elsewhere. The target
 * is relative, since prefixes may have been taken off the path. */
static enum status redirect_to_folder(struct exchange *x)
{
    struct slice path = x->request.path, query = x->request.query;
    size_t last = path.size;
    while (last > 0 && path.data[last - 1] != '/')
        last--;
    struct slice location = arena_join(&x->arena,
        (const struct slice[]){SLICE_INIT("./"), slice_from(path, last), SLICE_INIT("/"),
            query.data ? SLICE("?") : SLICE(""), query},
        5);
    enum status e = exchange_respond(x, 308, SLICE_NONE, SLICE_NONE);
    if (e || !location.data)
        return NO_MEMORY;
    return fields_add_known(&x->response.fields, FIELD_LOCATION, location);
}

static enum status list_folder(const struct visit *visit, int folder)
{
    struct exchange *x = visit->x;
    struct slice html, title = slice_of(visit->path.data, visit->path.size);
    title = arena_join(&x->arena, (const struct slice[]){SLICE_INIT("/"), title}, 2);
    if (!title.data)
        return NO_MEMORY;
    enum status e = files_list(&x->arena, folder, title, visit->files->has_hidden, &html);
    if (e)
        return e;
    e = exchange_respond(x, 200, SLICE("text/html; charset=utf-8"), html);
    return e ? e : fields_add_known(&x->response.fields, FIELD_CACHE_CONTROL, SLICE("no-cache"));
}

static enum status serve_file(
    const struct visit *visit, struct slice path, int fd, const struct stat *stat)
{
    const struct files *files = visit->files;
    struct files_found found = {
        .root = visit->root, .fd = fd, .path = path, .stat = *stat, .variants = &files->variants};
    return files_answer(visit->x, &found, files->cache_control);
}

/* Opens and serves a path that has to be a file. */
static enum status serve_path(const struct visit *visit, struct slice path)
{
    int fd;
    struct stat stat;
    enum status e = files_open(visit->root, path, &fd, &stat);
    if (e)
        return e;
    if (S_ISREG(stat.st_mode))
        return serve_file(visit, path, fd, &stat);
    close(fd);
    return NOT_FOUND;
}

static enum status serve_folder(const struct visit *visit, int folder)
{
    if (visit->path.size && visit->path.data[visit->path.size - 1] != '/')
        return redirect_to_folder(visit->x);
    struct slice index =
        arena_join(&visit->x->arena, (const struct slice[]){visit->path, visit->files->index}, 2);
    if (!index.data)
        return NO_MEMORY;
    enum status e = visit->files->index.size ? serve_path(visit, index) : NOT_FOUND;
    return e == NOT_FOUND && visit->files->lists ? list_folder(visit, folder) : e;
}

static enum status serve_what_is_there(const struct visit *visit)
{
    int fd;
    struct stat stat;
    enum status e = files_open(visit->root, visit->path, &fd, &stat);
    if (e)
        return e;
    if (S_ISREG(stat.st_mode))
        return serve_file(visit, visit->path, fd, &stat);
    e = serve_folder(visit, fd);
    close(fd);
    return e;
}

static bool last_part_has_dot(struct slice path)
{
    for (size_t i = path.size; i > 0 && path.data[i - 1] != '/'; i--)
        if (path.data[i - 1] == '.')
            return true;
    return false;
}

static enum status serve_visit(const struct visit *visit)
{
    enum status e = serve_what_is_there(visit);
    if (e == NOT_FOUND && visit->files->fallback.size && !last_part_has_dot(visit->path))
        e = serve_path(visit, visit->files->fallback);
    return e;
}

static enum status serve(const void *config, struct exchange *x)
{
    struct visit visit = {.files = config, .x = x};
    if (x->request.method != METHOD_GET && x->request.method != METHOD_HEAD) {
        (void)fields_set_known(&x->response.fields, FIELD_ALLOW, SLICE("GET, HEAD"));
        return METHOD_NOT_ALLOWED;
    }
    enum status e = path_below_root(visit.files, x, &visit.path);
    if (e)
        return e;
    e = files_open_root(visit.files->root_path, &visit.root);
    if (!e) {
        e = serve_visit(&visit);
        close(visit.root);
    }
    return e == NOT_FOUND ? NO_FILE : e == FULL ? OVERLOADED : e;
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    const struct files *files = config;
    text_format(text, "serves %s%.*s", files->root_path, SLICE_ARG(x->request.path));
}

const struct handler_type files_handler = {
    .name = "files",
    .options = &table,
    .prepare = prepare,
    .serve = serve,
    .explain = explain,
};
