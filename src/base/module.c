#include "base/module.h"

#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "weir-"
#define SUFFIX ".so"

/* --- where they lie */

/* The folder of the running program, also when its file has been replaced since. */
static bool find_program(char folder[PATH_MAX])
{
    ssize_t size = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    if (size <= 0)
        return false;
    folder[size] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    return slash;
}

static bool is_folder_with(const char *folder)
{
    return access(folder, R_OK | X_OK) == 0;
}

static bool find_folder(char folder[PATH_MAX])
{
    static const char *const beside[] = {"modules", "../lib/weir/modules"};
    const char *named = getenv("WEIR_MODULES");
    char program[PATH_MAX];
    if (named && *named)
        return snprintf(folder, PATH_MAX, "%s", named) < PATH_MAX;
    if (!find_program(program))
        return false;
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++)
        if (snprintf(folder, PATH_MAX, "%s/%s", program, beside[i]) < PATH_MAX &&
            is_folder_with(folder))
            return true;
    return false;
}

/* --- loading */

static const struct weir_module *open_module(const char *path, int flags)
{
    void *object = dlopen(path, flags | RTLD_NOW | RTLD_LOCAL);
    return object ? dlsym(object, "weir_module") : NULL;
}

enum status module_load(const char *name, uint32_t abi, const struct weir_module **ret_module,
    char trouble[MODULE_TROUBLE_SIZE])
{
    char folder[PATH_MAX], path[PATH_MAX];
    bool has_path = find_folder(folder) && snprintf(path, sizeof path, "%s/" PREFIX "%s" SUFFIX,
                                               folder, name) < (int)sizeof path;
    if (!has_path || access(path, R_OK) != 0) {
        snprintf(trouble, MODULE_TROUBLE_SIZE, "the module weir-%s is not installed", name);
        return NOT_FOUND;
    }
    const struct weir_module *module = open_module(path, 0);
    if (!module) {
        const char *why = dlerror();
        snprintf(trouble, MODULE_TROUBLE_SIZE, "the module weir-%s cannot be loaded: %s", name,
            why ? why : "it is none");
        return INVALID;
    }
    if (module->abi != abi) {
        snprintf(trouble, MODULE_TROUBLE_SIZE,
            "the module weir-%s is of another version: it speaks %u, this program %u", name,
            module->abi, abi);
        return INVALID;
    }
    *ret_module = module;
    return OK;
}

/* --- those that there are */

static bool is_module_name(const char *name)
{
    size_t size = strlen(name);
    return size > strlen(PREFIX SUFFIX) && strncmp(name, PREFIX, strlen(PREFIX)) == 0 &&
           strcmp(name + size - strlen(SUFFIX), SUFFIX) == 0;
}

struct visit {
    module_visitor *call;
    void *argument;
};

/* The linker knows which are loaded, so nobody else has to. */
static int see_object(struct dl_phdr_info *object, size_t size, void *argument)
{
    const struct visit *visit = argument;
    const char *slash = strrchr(object->dlpi_name, '/');
    (void)size;
    if (!slash || !is_module_name(slash + 1))
        return 0;
    const struct weir_module *module = open_module(object->dlpi_name, RTLD_NOLOAD);
    if (module)
        visit->call(visit->argument, module);
    return 0;
}

void module_each_loaded(module_visitor *visit, void *argument)
{
    struct visit how = {visit, argument};
    dl_iterate_phdr(see_object, &how);
}

static int is_module(const struct dirent *entry)
{
    return is_module_name(entry->d_name);
}

void module_each_installed(module_visitor *visit, void *argument)
{
    char folder[PATH_MAX], path[PATH_MAX];
    struct dirent **entries;
    int count = find_folder(folder) ? scandir(folder, &entries, is_module, alphasort) : -1;
    for (int i = 0; i < count; i++) {
        const struct weir_module *module = NULL;
        if (snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name) < (int)sizeof path)
            module = open_module(path, 0);
        if (module)
            visit(argument, module);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}
