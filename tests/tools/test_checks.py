"""The checks of tools/ find violations that are planted in a tree of their own."""

import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def run(tool, *args):
    """Runs a check; its exit code and what it printed."""
    done = subprocess.run([TOOLS / tool, *map(str, args)], text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def plant(root, files):
    """Writes a tree: {path: text}."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


SOUND = {
    "src/base/slice.h": "#pragma once\n",
    "src/base/slice.c": '#include "base/slice.h"\n#include "version.h"\n',
    "src/http/uri.h": '#pragma once\n#include "base/slice.h"\n#include <stdio.h>\n',
    "src/policy/policies.def": "POLICY(cors)\n",
    "modules/odd.c": '#include "base/slice.h"\n',
    "src/gateway/worker.c": '#include "http/uri.h"\n#include "policy/policies.def"\n',
}


# --- check_layers

def test_a_sound_tree_passes(tmp_path):
    plant(tmp_path, SOUND)
    assert run("check_layers", tmp_path) == (0, "")


@pytest.mark.parametrize("files, complaint", [
    ({"src/base/slice.c": '\n#include "http/uri.h"\n'},
     'src/base/slice.c:2: base may not include "http/uri.h"'),
    ({"src/http/uri.h": '#include "gateway/worker.c"\n'},
     'src/http/uri.h:1: http may not include "gateway/worker.c"'),
    ({"src/policy/policies.def": '#  include "main/run.h"\n', "src/main/run.h": ""},
     "src/policy/policies.def:1: policy may not include"),
    ({"src/base/a.h": '#include "base/b.h"\n', "src/base/b.h": '//\n#include "base/a.h"\n'},
     "src/base/a.h:1: include circle: base/a.h -> base/b.h -> base/a.h"),
    ({"src/base/a.h": '#include "base/a.h"\n'}, "include circle: base/a.h -> base/a.h"),
    ({"src/http/long.c": "\n" * 601}, "src/http/long.c:601: more than 600 lines"),
    ({"src/base/slice.c": '#include "slice.h"\n'}, 'src/base/slice.c:1: "slice.h" is not a file'),
    ({"src/cellar/wine.c": "\n"}, "src/cellar/wine.c:1: in none of the floors"),
    ({"src/stray.c": "\n"}, "src/stray.c:1: in none of the floors"),
    ({"modules/odd.c": '#include "http/uri.h"\n'}, 'modules/odd.c:1: a module may not include "http/uri.h"'),
    ({"modules/odd.c": '#include "store/odd_driver.h"\n'}, 'modules/odd.c:1: "store/odd_driver.h" is not a file'),
], ids=["upward", "upward-from-header", "upward-from-table", "circle", "self-circle", "long",
        "no-floor-in-include", "unknown-floor", "no-floor", "module-beyond-its-driver", "no-driver"])
def test_check_layers_finds(tmp_path, files, complaint):
    plant(tmp_path, {**SOUND, **files})
    code, printed = run("check_layers", tmp_path)
    assert code == 1
    assert complaint in printed


def test_600_lines_are_allowed(tmp_path):
    plant(tmp_path, {"src/http/long.c": "\n" * 600})
    assert run("check_layers", tmp_path) == (0, "")


# --- check_globals

def compile_tree(root, files):
    """Plants sources and builds them as Meson would, into root/build/libweir-core.a."""
    plant(root, files)
    objects = []
    build = root / "build"
    build.mkdir()
    for name in files:
        if name.endswith(".c"):
            objects.append(build / (name.replace("/", "_") + ".o"))
            subprocess.run(["gcc", "-O1", "-g", "-fPIE", "-fdata-sections", "-c", root / name,
                            "-o", objects[-1]], check=True)
    subprocess.run(["ar", "csrDT", build / "libweir-core.a", *objects], check=True)


def check_globals(root):
    return run("check_globals", "--root", root, "--build", root / "build")


CONSTANTS = """
int puts(const char *text);
static const char *const names[] = {"a", "b"};
struct hook { int (*call)(const char *); };
const struct hook hook = {.call = puts};
static const int sizes[] = {1, 2, 3};
const char *name(int i);
const char *name(int i) { return names[i] + sizes[i]; }
"""


def test_constants_are_no_globals(tmp_path):
    compile_tree(tmp_path, {"src/base/table.c": CONSTANTS})
    assert check_globals(tmp_path) == (0, "")


@pytest.mark.parametrize("text, name", [
    ("int counter;", "counter"),
    ("int counter = 7;", "counter"),
    ("static int hidden; int next(void); int next(void) { return ++hidden; }", "hidden"),
    ("int next(void); int next(void) { static int calls; return ++calls; }", "calls"),
    ("_Thread_local int own;", "own"),
    ("_Thread_local int own = 3;", "own"),
    ("const char *text = \"pointer to a constant\";", "text"),
    ("__attribute__((common)) int shared;", "shared"),
    ("static char *names[2] = {\"a\"}; char **get(void); char **get(void) { return names; }",
     "names"),
], ids=["bss", "data", "static", "in-function", "thread-bss", "thread-data", "pointer", "common",
        "relocated"])
def test_check_globals_finds(tmp_path, text, name):
    compile_tree(tmp_path, {"src/base/bad.c": text + "\n", "src/run/table.c": CONSTANTS})
    code, printed = check_globals(tmp_path)
    assert code == 1
    assert printed.splitlines() == [printed.strip()], "one complaint"
    assert printed.startswith(f"src/base/bad.c: {name}: a mutable global")


def test_the_allow_list_allows(tmp_path):
    compile_tree(tmp_path, {"src/base/bad.c": "int counter;\n",
                            "tools/globals.allow": "counter src/base/bad.c because\n"})
    assert check_globals(tmp_path) == (0, "")


def test_the_allow_list_names_a_file(tmp_path):
    compile_tree(tmp_path, {"src/base/bad.c": "int counter;\n", "src/base/good.c": "int f;\n",
                            "tools/globals.allow": "counter src/base/good.c because\n"})
    code, printed = check_globals(tmp_path)
    assert code == 1
    assert "src/base/bad.c: counter" in printed
    assert "tools/globals.allow:1: src/base/good.c has no mutable counter" in printed


def test_the_allow_list_wants_reasons(tmp_path):
    compile_tree(tmp_path, {"src/base/bad.c": "int counter;\n",
                            "tools/globals.allow": "counter src/base/bad.c\n"})
    code, printed = check_globals(tmp_path)
    assert code != 0
    assert "globals.allow:1: want" in printed


def test_an_empty_build_is_no_success(tmp_path):
    (tmp_path / "build").mkdir()
    code, printed = check_globals(tmp_path)
    assert code != 0
    assert "no objects" in printed
