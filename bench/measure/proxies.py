"""The programs under measurement: how each is configured, started, pinned and stopped."""

import os
import shutil
import subprocess
import sys
import tempfile

from . import machine

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(HERE)
PROGRAMS = os.path.join(ROOT, "build", "release")
WEIR = os.path.join(ROOT, "build", "weir")

# nginx' proxy buffers: what serves it best at each size of body, found by trying 4 KB to 2 MB.
NGINX_BUFFERS = {"100k": ("512k", "1m"), "1m": ("2m", "4m")}


def program(name):
    return os.path.join(PROGRAMS, name)


def pinned(cores, command):
    return ["taskset", "-c", ",".join(str(core) for core in cores)] + command


def fill_in(template, values):
    """Reads bench/conf/<template> and replaces @NAME@ by its value."""
    with open(os.path.join(HERE, "conf", template)) as file:
        text = file.read()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    return text


def make_certificate(folder):
    """A file with an ECDSA P-256 certificate and its key, the same for all proxies of a run."""
    pair = os.path.join(folder, "bench.pem")
    if not os.path.exists(pair):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-noenc", "-days", "30", "-subj", "/CN=bench.example", "-addext",
                        "subjectAltName=DNS:bench.example", "-keyout", pair + ".key", "-out", pair],
                       check=True, stderr=subprocess.DEVNULL)
        with open(pair, "a") as both, open(pair + ".key") as key:
            both.write(key.read())
    return pair


class Proxy:
    """One running program that answers on a port. Subclasses say how it is written down and started."""

    name = ""
    is_general = True  # takes part in all scenarios; False: only in those that name it

    def __init__(self, folder, backend_port, workers=1, cores=(0,), body="100k", tls=False):
        self.folder = folder
        self.backend_port = backend_port
        self.workers = workers
        self.cores = cores
        self.body = body
        self.tls = make_certificate(folder) if tls else None
        self.port = machine.free_port()
        self.process = None

    @classmethod
    def is_installed(cls):
        return shutil.which(cls.name) is not None

    @classmethod
    def version(cls):
        return ""

    def command(self):
        raise NotImplementedError

    def tls_values(self, pair):
        """What the template says of TLS; `pair` is None without, else the file with certificate and key."""
        return {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def configure(self, template):
        """Writes the configuration into the run's folder and returns its path."""
        buffer, busy = NGINX_BUFFERS[self.body]
        values = {"PORT": self.port, "BACKEND": self.backend_port, "WORKERS": self.workers,
                  "DIR": self.folder, "BUFFER": buffer, "BUSY": busy, **self.tls_values(self.tls)}
        path = self.path(f"{self.port}-{template}")
        with open(path, "w") as file:
            file.write(fill_in(template, values))
        return path

    def start(self):
        command = self.command()
        with open(self.path(f"{self.name}.out"), "a") as out, \
                open(self.path(f"{self.name}.err"), "a") as err:
            self.process = subprocess.Popen(pinned(self.cores, command), stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=err, cwd=self.folder)
        machine.wait_for_port(self.port, self.process)
        return self

    def pids(self):
        return machine.process_tree(self.process.pid)

    def empty_log(self):
        """Throws the access log away, so that the page cache works in the same memory all the time: pages
        that a virtual machine touches for the first time cost more than the line."""
        for path in (self.path(f"{self.name}-access.log"), self.path(f"{self.name}.out")):
            if os.path.exists(path):
                os.truncate(path, 0)

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


class Forwarder(Proxy):
    name = "forwarder"

    @classmethod
    def is_installed(cls):
        return os.access(program("forwarder"), os.X_OK)

    def command(self):
        return [program("forwarder"), str(self.port), str(self.backend_port), str(self.workers)]


class Nginx(Proxy):
    name = "nginx"

    @classmethod
    def version(cls):
        return machine.first_line(["nginx", "-v"]).replace("nginx version: ", "")

    def tls_values(self, pair):
        if not pair:
            return {"LISTEN": "", "TLS": ""}
        return {"LISTEN": "ssl", "TLS": f"ssl_certificate {pair}; ssl_certificate_key {pair}; "
                                        "ssl_protocols TLSv1.2 TLSv1.3;"}

    def command(self):
        return self.command_with("nginx.conf")

    def command_with(self, template):
        return ["nginx", "-e", self.path("nginx-error.log"), "-c", self.configure(template)]


class HAProxy(Proxy):
    name = "haproxy"

    @classmethod
    def version(cls):
        return " ".join(machine.first_line(["haproxy", "-v"]).split()[:3])

    def tls_values(self, pair):
        return {"TLS": f"ssl crt {pair} alpn http/1.1" if pair else ""}

    def command(self):
        return self.command_with("haproxy.cfg")

    def command_with(self, template):
        return ["haproxy", "-db", "-f", self.configure(template)]


class Weir(Proxy):
    name = "weir"
    sockets = None  # a folder, made with the first of them

    @classmethod
    def is_installed(cls):
        return os.access(WEIR, os.X_OK)

    @classmethod
    def version(cls):
        return machine.first_line([WEIR, "version"])

    def tls_values(self, pair):
        if not pair:
            return {"LISTEN": f'"127.0.0.1:{self.port}"', "TLS": ""}
        return {"LISTEN": f'{{https: "127.0.0.1:{self.port}"}}', "TLS": f"tls: {{cert: {pair}, key: {pair}}}"}

    def command(self):
        return self.command_with("weir.yaml")

    def command_with(self, template):
        return [WEIR, "run", self.configure(template), "--no-watch", "--control", self.control()]

    def control(self):
        """Its control socket, under a path that is short enough for one."""
        Weir.sockets = Weir.sockets or tempfile.TemporaryDirectory(prefix="weir-bench-")
        return os.path.join(self.sockets.name, f"{self.port}.sock")


class H2O(Proxy):
    """A peer for HTTP/2 alone."""

    name = "h2o"
    is_general = False

    @classmethod
    def version(cls):
        return machine.first_line(["h2o", "-v"])

    def tls_values(self, pair):
        as_root = os.geteuid() == 0  # else it becomes nobody, who may not write its log
        return {"TLS": pair, "USER": "user: root" if as_root else ""}

    def command(self):
        return ["h2o", "-c", self.configure("h2o.conf")]


class Backend(Proxy):
    """Not measured; it stands behind all of them."""

    name = "backend"

    def command(self):
        return [program("backend"), str(self.port)]


class Everywhere(Backend):
    """The same at each address of the loopback device."""

    def command(self):
        return [*super().command(), "--everywhere"]


KINDS = {kind.name: kind for kind in (Forwarder, Weir, Nginx, HAProxy, H2O)}


def installed(names):
    """The kinds of these names that can be measured here; says which cannot."""
    found = []
    for name in names:
        if KINDS[name].is_installed():
            found.append(KINDS[name])
        else:
            print(f"{name} is not there: left out", file=sys.stderr)
    return found
