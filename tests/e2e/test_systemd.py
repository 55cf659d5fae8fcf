"""The units are ones that systemd takes."""

import shutil
import subprocess
from pathlib import Path

import pytest
from gateway import WEIR

DIST = Path(__file__).resolve().parents[2] / "dist"
pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


@pytest.fixture
def units(tmp_path):
    """The units as they are installed, with the program that is tested."""
    program = tmp_path / "prefix" / "bin" / "weir"
    program.parent.mkdir(parents=True)
    program.symlink_to(WEIR)
    for unit in DIST.glob("weir.*"):
        (tmp_path / unit.name).write_text(unit.read_text().replace("@PREFIX@", str(tmp_path / "prefix")))
    return tmp_path


@pytest.mark.parametrize("unit", ["weir.service", "weir.socket"])
def test_verify(units, unit):
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", units / unit], capture_output=True, text=True,
                          timeout=60)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "weir" in line]
    assert not complaints, done.stderr


def test_hardening(units):
    """systemd's own count of what a unit exposes: 0 nothing, 10 everything."""
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=25", "--no-pager",
                           units / "weir.service"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
