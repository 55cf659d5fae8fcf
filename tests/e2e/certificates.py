"""Certificates for the tests, made by the openssl command: an authority and what it signs."""

import functools
import subprocess
import tempfile
from pathlib import Path


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, **options).stdout


class Certificate:
    """PEM files: `cert` (with the chain), `key`."""

    def __init__(self, stem: Path):
        self.cert, self.key = stem.with_suffix(".pem"), stem.with_suffix(".key")


class Authority:
    """Signs certificates. `cert` is its own."""

    def __init__(self, folder: Path, name="authority"):
        self.folder = Path(folder)
        self.count = 0
        self.own = Certificate(self.folder / name)
        self.cert = self.own.cert
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "30",
                "-subj", f"/CN=Test {name}", "-keyout", self.own.key, "-out", self.own.cert)

    def sign(self, names="DNS:localhost,IP:127.0.0.1", subject="test", key="ec", begins=None, ends=None) -> Certificate:
        """`names` as openssl writes alternative names; `begins` and `ends` as 20200101000000Z."""
        self.count += 1
        made = Certificate(self.folder / f"certificate{self.count}")
        request, extensions = made.cert.with_suffix(".csr"), made.cert.with_suffix(".ext")
        kind = ["-newkey", "rsa:2048"] if key == "rsa" else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        openssl("req", *kind, "-noenc", "-subj", f"/CN={subject}", "-keyout", made.key, "-out", request)
        extensions.write_text(f"subjectAltName={names}\n")
        database = self.folder / f"database{self.count}"
        database.touch()
        config = self.folder / f"config{self.count}"
        config.write_text(f"""[ca]\ndefault_ca=a\n[a]\ndatabase={database}\nserial={database}.serial\n
new_certs_dir={self.folder}\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n""")
        times = ["-startdate", begins or "20200101000000Z", "-enddate", ends or "20991231000000Z"]
        openssl("ca", "-batch", "-notext", "-rand_serial", "-config", config, "-cert", self.own.cert, "-keyfile", self.own.key,
                "-extfile", extensions, "-in", request, "-out", made.cert, *times)
        return made

    def expired(self, **more) -> Certificate:
        return self.sign(begins="20200101000000Z", ends="20200201000000Z", **more)


def self_signed(folder: Path, names="DNS:localhost,IP:127.0.0.1", stem="self") -> Certificate:
    made = Certificate(Path(folder) / stem)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "30", "-subj", "/CN=self",
            "-addext", f"subjectAltName={names}", "-keyout", made.key, "-out", made.cert)
    return made


@functools.cache
def authority() -> Authority:
    """One for all tests of a process."""
    return Authority(Path(tempfile.mkdtemp(prefix="weir-certificates-")))
