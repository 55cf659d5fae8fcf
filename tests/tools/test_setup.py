"""tools/setup installs what is missing and nothing else: against an apt that only takes notes."""

import os
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
PACKAGES = """\
# A comment that names build gcc.
build  gcc          # the compiler
build  libfoo-dev   # the foo
test   nodejs|node  # a real upstream
test   libfoo-dev   # ... again
"""


@pytest.fixture
def machine(tmp_path):
    """A copy of tools/setup with a PATH of its own; `stub` puts a command there."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "setup").write_text((TOOLS / "setup").read_text())
    (tools / "setup").chmod(0o755)
    (tools / "packages").write_text(PACKAGES)
    (tmp_path / "bin").mkdir()
    for command in "sh sed sort grep dirname head touch env".split():
        (tmp_path / "bin" / command).symlink_to(f"/usr/bin/{command}")

    class Machine:
        notes = tmp_path / "notes"

        def stub(self, command, script):
            path = tmp_path / "bin" / command
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)

        def has(self, *packages):
            self.stub("dpkg-query", "\n".join(f"echo installed {one}" for one in packages)
                      + "\necho config-files libold-dev")

        def is_user(self, number):
            self.stub("id", f"echo {number}")

        def setup(self, *groups):
            done = subprocess.run([tools / "setup", *groups], text=True, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  env={**os.environ, "PATH": str(tmp_path / "bin")})
            return done.returncode, done.stdout

        def noted(self):
            return self.notes.read_text().splitlines() if self.notes.exists() else []

    made = Machine()
    for command in "apt-get", "sudo":
        made.stub(command, f'echo "{command}" "$@" >>{made.notes}')
    made.is_user(1000)
    return made


def test_with_everything_there_it_does_nothing(machine):
    machine.has("gcc", "libfoo-dev", "nodejs")
    assert machine.setup("build", "test") == (0, "")
    assert machine.noted() == []


def test_a_group_that_was_not_asked_for_is_not_installed(machine):
    machine.has("gcc", "libfoo-dev")
    assert machine.setup("build") == (0, "")


def test_a_command_stands_for_its_package(machine):
    machine.has("gcc", "libfoo-dev")
    machine.stub("node", "")
    assert machine.setup("test") == (0, "")


def test_another_user_goes_through_sudo(machine):
    machine.has("gcc")
    code, _ = machine.setup("build", "test")
    assert code == 0
    assert len(machine.noted()) == 1
    assert machine.noted()[0].startswith("sudo ")
    assert machine.noted()[0].endswith("tools/setup build test")


def test_without_sudo_it_says_what_root_is_to_do(machine, tmp_path):
    machine.has("gcc")
    (tmp_path / "bin/sudo").unlink()
    code, printed = machine.setup("build", "test")
    assert code == 1
    assert printed.endswith("as root, please: apt-get install libfoo-dev nodejs\n")


@pytest.mark.skipif(not Path("/usr/sbin/policy-rc.d").exists(),
                    reason="root's part writes /usr/sbin/policy-rc.d")
def test_root_installs_the_missing_and_says_why(machine):
    machine.has("gcc", "libfoo-dev-doc")
    machine.is_user(0)
    code, printed = machine.setup("build", "test")
    assert code == 0
    assert "    libfoo-dev: the foo\n    nodejs: a real upstream\n" in printed
    assert "gcc" not in printed
    update, install = machine.noted()
    assert update.endswith(" update")
    assert install.endswith(" install libfoo-dev nodejs")


def test_elsewhere_than_debian_it_goes_on(machine):
    code, printed = machine.setup("build")
    assert code == 0
    assert "not a Debian system" in printed
