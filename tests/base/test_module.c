#include "base/module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/postgres_driver.h"
#include "support/unit.h"

#define SOME_NUMBER 7

static void one_that_is_not_installed_is_said(void **state)
{
    (void)state;
    const struct weir_module *module = NULL;
    char trouble[MODULE_TROUBLE_SIZE];
    assert_status(module_load("nothing", SOME_NUMBER, &module, trouble), NOT_FOUND);
    assert_string_equal(trouble, "the module weir-nothing is not installed");
    assert_null(module);
}

static void what_is_no_module_is_refused(void **state)
{
    (void)state;
    const struct weir_module *module = NULL;
    char trouble[MODULE_TROUBLE_SIZE], folder[] = "/tmp/weir-modules-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/weir-odd.so", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("this is no library\n", file);
    fclose(file);
    setenv("WEIR_MODULES", folder, 1);
    assert_status(module_load("odd", SOME_NUMBER, &module, trouble), INVALID);
    assert_memory_equal(trouble, "the module weir-odd cannot be loaded: ", 38);
    unsetenv("WEIR_MODULES");
    assert_null(module);
    remove(path);
    remove(folder);
}

static void add_name(void *argument, const struct weir_module *module)
{
    char about[100] = "";
    module->about(about, sizeof about);
    assert_true(*about);
    strcat(argument, module->name);
}

/* The build has it where there is libpq. */
static void the_linker_knows_which_are_loaded(void **state)
{
    (void)state;
    const struct weir_module *module = NULL, *again = NULL;
    char trouble[MODULE_TROUBLE_SIZE], installed[100] = "", loaded[100] = "";
    if (module_load("postgres", POSTGRES_DRIVER_ABI, &module, trouble) == NOT_FOUND)
        skip();
    assert_string_equal(module->name, "postgres");
    assert_ok(module_load("postgres", POSTGRES_DRIVER_ABI, &again, trouble));
    assert_ptr_equal(module, again);
    module_each_loaded(add_name, loaded);
    assert_string_equal(loaded, "postgres");
    module_each_installed(add_name, installed);
    assert_string_equal(installed, "postgres");
}

static void one_of_another_version_is_refused(void **state)
{
    (void)state;
    const struct weir_module *module = NULL;
    char trouble[MODULE_TROUBLE_SIZE];
    enum status e = module_load("postgres", POSTGRES_DRIVER_ABI + 1, &module, trouble);
    if (e == NOT_FOUND)
        skip();
    assert_status(e, INVALID);
    assert_non_null(strstr(trouble, "the module weir-postgres is of another version: it speaks"));
    assert_null(module);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_is_not_installed_is_said),
        cmocka_unit_test(what_is_no_module_is_refused),
        cmocka_unit_test(one_of_another_version_is_refused),
        cmocka_unit_test(the_linker_knows_which_are_loaded),
    };
    return cmocka_run_group_tests_name("module", tests, NULL, NULL);
}
