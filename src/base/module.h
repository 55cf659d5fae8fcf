/* Modules: what Weir can do only with a library that a plain install does not want. Each is a
 * shared object, "weir-postgres.so", in a package of its own, which is loaded when the file names
 * something that needs it, and stays.
 *
 *     e = module_load("postgres", POSTGRES_DRIVER_ABI, &module, trouble);
 *     if (!e)
 *         driver = module->driver;
 *
 * A module touches the foreign library, and nothing else: it is a table of functions, the *driver*,
 * whose shape a header of the program says (store/postgres_driver.h). The program calls the module;
 * the module calls the library, never the program. What it needs it is given, what it finds out it
 * gives back; waiting, deadlines, memory of requests, metrics and options stay on this side. So the
 * program exports nothing, a module is linked with its library alone, and either can be tried
 * without the other.
 *
 * Where they lie: in the folder that WEIR_MODULES names in the environment; else in `modules`
 * beside the program, as in a build; else in `../lib/weir/modules` from there, as `make install`
 * has it.
 *
 * To add one: a header with its driver and a number for that in the floor that uses it, and one
 * file modules/<name>.c that ends with
 *
 *     const struct weir_module weir_module = {POSTGRES_DRIVER_ABI, "postgres", about, &driver};
 *
 * and one line in modules/meson.build. The number grows with every change of the driver's shape. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* What a module is to the program, by the name `weir_module`. This struct itself never changes. */
struct weir_module {
    uint32_t abi; /* the number of its driver's shape */
    const char *name;
    void (*about)(char *text, size_t size); /* which library: "libpq 15.18". From any thread */
    const void *driver;
};

#define MODULE_SYMBOL       __attribute__((visibility("default")))
#define MODULE_TROUBLE_SIZE 400

/* Finds a module and loads it; again is harmless and gives the same. NOT_FOUND: it is not
 * installed; INVALID: it cannot be used. Then `trouble` says so in words. On the control thread, or
 * in a command. */
enum status module_load(const char *name, uint32_t abi, const struct weir_module **ret_module,
    char trouble[MODULE_TROUBLE_SIZE]);

/* Calls back for each module that is loaded. */
typedef void module_visitor(void *argument, const struct weir_module *module);
void module_each_loaded(module_visitor *visit, void *argument);

/* Loads each that is installed, whatever its number, and calls back. For commands that show them.
 */
void module_each_installed(module_visitor *visit, void *argument);
