"""tools/test and tools/build, over a small tree with tests that pass, fail and crash."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HEAD = """\
#include "base/one.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
"""
MAIN = """
int main(void)
{
    const struct CMUnitTest tests[] = {%s};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
"""


def program(**bodies):
    """A cmocka program with one test for each name."""
    tests = "".join(f"static void {name}(void **state)\n{{\n    (void)state;\n    {body}\n}}\n"
                    for name, body in bodies.items())
    return HEAD + tests + MAIN % ", ".join(f"cmocka_unit_test({name})" for name in bodies)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    for name in "tools", "meson.build", "meson_options.txt":
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, root / name)
    for name, text in {
        "tools/globals.allow": "",
        "modules/meson.build": "",
        "src/base/one.h": "#pragma once\nint one(void);\n",
        "src/base/one.c": '#include "base/one.h"\n\nint one(void)\n{\n    return 1;\n}\n',
        "src/main/cmd_none.c": '#include "base/one.h"\n\nint cmd_none(void);\n'
                               "int cmd_none(void)\n{\n    return one();\n}\n",
        "src/main/main.c": '#include "base/one.h"\n\nint main(void)\n{\n    return one() - 1;\n}\n',
        "tests/support/none.c": '#include "base/one.h"\n\nint none(void);\n'
                                "int none(void)\n{\n    return one();\n}\n",
        "tests/base/test_one.c": program(is_one="assert_int_equal(one(), 1);",
                                         is_not_two="assert_int_not_equal(one(), 2);",
                                         is_elsewhere="skip();"),
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def run_tests(root, *parts):
    done = subprocess.run([root / "tools/test", *parts], text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def test_what_passes_is_counted(tree):
    code, printed = run_tests(tree, "unit", "layers", "globals")
    assert printed.splitlines()[-1] == "4 passed, 0 failed"
    assert code == 0


def test_new_files_are_built_and_failures_counted(tree):
    bad = tree / "tests/base/test_bad.c"
    dead = tree / "tests/base/test_dead.c"
    bad.write_text(program(good="assert_true(one());", wrong="assert_int_equal(one(), 2);"))
    dead.write_text(program(crash="if (one())\n        abort();"))
    code, printed = run_tests(tree, "unit")
    bad.unlink()
    dead.unlink()
    assert printed.splitlines()[-1] == "3 passed, 2 failed"
    assert code == 1


def test_a_global_and_an_upward_include_fail(tree):
    source = tree / "src/base/counter.c"
    source.write_text('#include "http/uri.h"\nint counter;\n')
    (tree / "src/http").mkdir()
    (tree / "src/http/uri.h").write_text("#pragma once\n")
    code, printed = run_tests(tree, "layers", "globals")
    source.unlink()
    assert "src/base/counter.c:1: base may not include" in printed
    assert "src/base/counter.c: counter: a mutable global" in printed
    assert printed.splitlines()[-1] == "0 passed, 2 failed"
    assert code == 1


def test_a_build_that_fails_is_a_failure(tree):
    source = tree / "src/base/broken.c"
    source.write_text("int broken\n")
    code, printed = run_tests(tree)
    source.unlink()
    assert printed.splitlines()[-1] == "0 passed, 1 failed"
    assert code == 1
