"""tools/guest, as far as it needs no machine: the modules of a kernel, and the kernels to choose from."""

import importlib.machinery
import importlib.util
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools/guest"


def load():
    loader = importlib.machinery.SourceFileLoader("guest", str(TOOL))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("guest", loader))
    loader.exec_module(module)
    return module


def test_a_module_comes_behind_what_it_needs(tmp_path):
    for name, needs in [("virtio-ring", ""), ("virtio", "virtio_ring"), ("net/9p", "virtio,virtio_ring"), ("other", "")]:
        file = tmp_path / f"{name}.ko"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"\x7fELF\0license=GPL\0depends=" + needs.encode() + b"\0vermagic=6\0")
    names = [file.name for file in load().in_order(tmp_path, ["9p", "built_in", "virtio_ring"])]
    assert names == ["virtio-ring.ko", "virtio.ko", "9p.ko"]


def test_the_newest_kernel_that_has_its_modules(tmp_path):
    for version, has_tls in [("6.1.0-9-amd64", True), ("6.1.0-56-amd64", True), ("6.12.0-1-amd64", False)]:
        folder = tmp_path / "lib/modules" / version / "kernel/net/tls"
        folder.mkdir(parents=True)
        (tmp_path / "boot").mkdir(exist_ok=True)
        (tmp_path / "boot" / f"vmlinuz-{version}").touch()
        if has_tls:
            (folder / "tls.ko").touch()
    assert [image.name for image, _ in load().versions(tmp_path)] == ["vmlinuz-6.1.0-56-amd64", "vmlinuz-6.1.0-9-amd64"]


def test_each_file_of_an_archive_is_found_where_the_last_ends():
    archive = load().Archive()
    archive.add("init", 0o100755, b"abcde")
    data, at, names = archive.bytes(), 0, []
    while at < len(data):
        assert data[at:at + 6] == b"070701" and at % 4 == 0
        size, length = int(data[at + 54:at + 62], 16), int(data[at + 94:at + 102], 16)
        names.append(data[at + 110:at + 109 + length].decode())
        at += (110 + length + 3) // 4 * 4 + (size + 3) // 4 * 4
    assert names == ["init", "TRAILER!!!"]
