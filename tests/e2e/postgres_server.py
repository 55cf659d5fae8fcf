"""Real PostgreSQL servers for tests."""

import contextlib
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from gateway import wait_for

POSTGRES = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1:]
NOBODY = pwd.getpwnam("nobody")


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=100, **options)
    assert done.returncode == 0, done
    return done.stdout


class PostgresServer:
    """One on 127.0.0.1, with a superuser `weir` and a database `weir`. It refuses to run as root, and others may not look into a
    test's folder: so it has its own. Use it as a context manager."""

    def __init__(self, port, *options, auth="trust", password=None, files=None):
        """`options`: settings, "name=value". `files`: copies by name that it can read, a folder above its data."""
        self.port = port
        self.user = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
        self.folder = Path(tempfile.mkdtemp())
        self.data = self.folder / "data"
        if self.user:
            os.chown(self.folder, NOBODY.pw_uid, NOBODY.pw_gid)
        settings = ["unix_socket_directories=", "shared_buffers=16MB", *options]
        self.command = [POSTGRES[0] + "/postgres", "-D", str(self.data), "-h", "127.0.0.1", "-p", str(port), "-F",
                        *[word for setting in settings for word in ("-c", setting)]]
        self.environment = {**os.environ, "PGPASSWORD": password or ""}
        secret = self.file("password", password or "none")
        for name, source in (files or {}).items():
            self.file(name, Path(source).read_text())
        self.process = None
        run(POSTGRES[0] + "/initdb", "-D", self.data, "-U", "weir", "-A", auth, "--pwfile", secret, "--no-sync", cwd=self.folder, **self.user)

    def file(self, name, text, mode=0o600):
        """One that the server can read."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        if self.user:
            os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
        return path

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        cwd=self.folder, start_new_session=True, **self.user)
        wait_for(lambda: self.process.poll() is not None or
                 subprocess.run([POSTGRES[0] + "/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], timeout=100).returncode == 0,
                 100, "PostgreSQL")
        assert self.process.poll() is None

    def ask(self, sql, database="weir"):
        """What it answers, a line a row."""
        return run("psql", "-X", "-q", "-t", "-A", "-h", "127.0.0.1", "-p", self.port, "-U", "weir", "-d", database, "-c", sql,
                   env=self.environment).strip()

    def connections(self):
        return int(self.ask("select count(*) from pg_stat_activity where application_name = 'weir'"))

    def _processes(self):
        """Its own, and those that it has started: one for each connection, and some besides."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def _signal(self, number):
        for one in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, number)

    def _stands_still(self):
        return all(Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[0] == "T" for one in self._processes())

    @contextlib.contextmanager
    def paused(self):
        self.process.send_signal(signal.SIGSTOP)  # then nobody is started any more
        self._signal(signal.SIGSTOP)
        wait_for(self._stands_still, what="PostgreSQL to stand still")
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def stop(self, number=signal.SIGINT):
        """SIGINT: it waits for nobody's transactions. SIGKILL: with all whom it has started, as when the machine's power goes."""
        if number == signal.SIGKILL:
            self._signal(number)
        else:
            self.process.send_signal(number)
        self.process.wait(100)

    def __enter__(self):
        self.start()
        self.ask("create database weir", "postgres")
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self._signal(signal.SIGCONT)
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)
