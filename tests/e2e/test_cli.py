"""The command line: every command's help, exit codes, and what goes where."""

import json
import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml
from gateway import WEIR, run_weir

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
COMMANDS = re.findall(r"^COMMAND\((\w+)\)", (ROOT / "src/main/commands.def").read_text(), re.M)
GOOD = """version: 1
listen: ":8080"
services: {user: "127.0.0.1:1", order: "127.0.0.1:2"}
limits: {few: 5/min}
routes:
  GET /users/{id:int}: {to: user, use: [limits.few]}
  /orders/**: [{when: header.x-canary == "1", to: user}, order]
tests:
  - {get: /users/7, is: user}
  - {get: /users/ada, is: 404}
"""


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def wrong(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(GOOD.replace("to: user, use", "to: usr, use"))
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    for word in ["--help", "-h"]:
        code, out, error = run_weir(command, word)
        assert code == 0 and error == ""
        assert out.startswith(f"usage: weir {command}")
        assert all(len(line) <= 110 for line in out.splitlines()), out
    assert re.search(rf"^  {command} +\S", run_weir("help")[1], re.M)


@pytest.mark.parametrize("arguments", [
    [], ["nonsense"], ["check"], ["check", "--nonsense", "f"], ["check", "a", "b"], ["run"], ["run", "f", "--control"],
    ["explain"], ["explain", "GET /a"], ["explain", "nonsense", "f"], ["explain", "GET /", "f", "-H"],
    ["explain", "GET /", "f", "-H", "no colon"], ["completion"], ["completion", "tcsh"], ["version", "x"], ["reload", "x"],
    ["status", "--nonsense"], ["test"], ["fmt"], ["schema", "x"], ["reference", "x"], ["demo", "x"]])
def test_usage_errors(arguments):
    code, out, error = run_weir(*arguments)
    assert code == 2 and out == "" and "usage" in error.lower() or "weir help" in error, (code, out, error)
    assert code == 2


def test_check(good, wrong):
    code, out, error = run_weir("check", good)
    assert (code, error) == (0, "") and "good" in out
    code, out, error = run_weir("check", wrong)
    assert (code, out) == (3, "")
    assert re.match(re.escape(str(wrong)) + r':6:29: error: .*"usr"', error) and '^^^ did you mean "user"?' in error
    code, out, error = run_weir("check", wrong, "--json")
    assert (code, error) == (3, "")
    [problem] = json.loads(out)
    assert (problem["file"], problem["line"], problem["column"], problem["length"]) == (str(wrong), 6, 29, 3)
    assert json.loads(run_weir("check", good, "--json")[1]) == []
    code, _, error = run_weir("check", "/nowhere.yaml")
    assert code in (1, 3) and "/nowhere.yaml" in error


def on_terminal(*arguments, **environment):
    """What a command writes to stderr when that is a terminal."""
    main, side = pty.openpty()
    try:
        clean = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        process = subprocess.Popen([WEIR, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=side,
                                   env={**clean, **environment})
        process.wait(30)
        return os.read(main, 65536).decode()
    finally:
        os.close(main)
        os.close(side)


def test_colour_on_terminals_only(wrong):
    assert "\x1b[" in on_terminal("check", wrong)
    assert "\x1b[" not in on_terminal("check", wrong, NO_COLOR="1")
    assert "\x1b[" not in run_weir("check", wrong)[2]


def test_test(good, tmp_path):
    code, out, error = run_weir("test", good)
    assert code == 0, out + error
    failing = tmp_path / "failing.yaml"
    failing.write_text(GOOD.replace("is: 404", "is: order"))
    code, out, error = run_weir("test", failing)
    assert code == 1
    assert "10" in out + error and "404" in out + error


def test_explain(good):
    code, out, _ = run_weir("explain", "GET https://shop.example/users/7", good)
    assert code == 0
    assert f"GET /users/{{id:int}} ({good}:6)" in out
    assert "limit" in out and "service:  user" in out
    code, out, _ = run_weir("explain", "GET /users/ada", good)
    assert code == 0 and "404" in out and "GET /users/{id:int}" in out.split("not:")[1]
    code, out, _ = run_weir("explain", "/orders/1", good, "-H", "X-Canary: 1", "--client", "10.0.0.1", "--json")
    answer = json.loads(out)
    assert answer["service"] == "user" and answer["line"] == 7 and answer["route"] == "/orders/**"
    code, out, _ = run_weir("explain", "POST /users/7", good, "--json")
    answer = json.loads(out)
    assert answer["status"] == 405 and answer["near_misses"][0]["route"] == "GET /users/{id:int}"


def test_version():
    code, out, _ = run_weir("version")
    assert code == 0 and re.fullmatch(r"weir \d+\.\d+\.\d+\S*\n(module \w+, with .+\n)*", out)
    assert run_weir("--version")[1] == out


def test_schema_takes_what_weir_takes(tmp_path):
    schema = json.loads(run_weir("schema")[1])
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    validator = kind(schema)
    texts = [(path.name, path.read_text()) for path in EXAMPLES] + [("good", GOOD)]
    for document in ["README.md", "docs/guide.md", *sorted((ROOT / "docs/guide").glob("*.md"))]:
        blocks = re.findall(r"^```yaml\n(.*?)^```", (ROOT / document).read_text(), re.M | re.S)
        texts += [(document, block) for block in blocks if "version:" in block]
    for name, text in texts:
        problems = [f"{list(one.path)}: {one.message}" for one in validator.iter_errors(plain(text))]
        assert not problems, f"{name}: {problems}"
    for broken in [GOOD.replace("listen", "lisen"), GOOD.replace("to: user, use", "too: user, use"), "services: {}\n",
                   GOOD.replace("{get: /users/7", "{gt: /users/7"), GOOD.replace("{get: /users/7", "{get: users/7"),
                   GOOD.replace(", is: user}", "}")]:
        assert broken != GOOD
        assert list(validator.iter_errors(plain(broken))), broken


def plain(text):
    """As an editor's YAML reader sees it."""
    return yaml.safe_load(text)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_no_traps_for_other_yaml_readers(path):
    """Texts are texts, whether a reader guesses types (YAML 1.1) or not: no `on`, `no`, 12:30, 0123."""
    guessed, texts = yaml.safe_load(path.read_text()), yaml.load(path.read_text(), yaml.BaseLoader)

    def same(left, right, where):
        if isinstance(right, dict):
            assert isinstance(left, dict) and [str(key) for key in left] == list(right), where
            assert all(isinstance(key, str) for key in left), where
            for key in right:
                same(left[key], right[key], f"{where}.{key}")
        elif isinstance(right, list):
            assert isinstance(left, list) and len(left) == len(right), where
            for number, (one, other) in enumerate(zip(left, right)):
                same(one, other, f"{where}[{number}]")
        else:
            assert left is not None or right == "", where
            shown = str(left).lower() if isinstance(left, bool) else str(left)
            assert left is None or shown == right, f"{where}: {left!r} is not {right!r}"

    same(guessed, texts, path.name)


@pytest.mark.parametrize("shell,check", [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])])
def test_completion(shell, check, tmp_path):
    code, out, _ = run_weir("completion", shell)
    assert code == 0 and all(command in out for command in COMMANDS)
    if not shutil.which(check[0]):
        pytest.skip(f"{check[0]} is not installed")
    path = tmp_path / "completion"
    path.write_text(out)
    done = subprocess.run([*check, path], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and done.stderr == "", done.stderr


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
@pytest.mark.parametrize("typed,offered", [("weir re", ["reference", "reload"]), ("weir explain -", ["-H", "--client", "--json"])])
def test_fish_completes(typed, offered, tmp_path):
    path = tmp_path / "weir.fish"
    path.write_text(run_weir("completion", "fish")[1])
    done = subprocess.run(["fish", "--no-config", "-c", f"source {path}; complete -C '{typed}'"], capture_output=True,
                          text=True, timeout=30, env={**os.environ, "HOME": str(tmp_path)})
    assert done.stderr == ""
    assert set(offered) <= {line.split("\t")[0] for line in done.stdout.splitlines()}, done.stdout


def test_bash_completes():
    script = run_weir("completion", "bash")[1]
    done = subprocess.run(["bash", "-c", script + '\nCOMP_WORDS=(weir re); COMP_CWORD=1; _weir; echo "${COMPREPLY[@]}"'],
                          capture_output=True, text=True, timeout=30)
    assert set(done.stdout.split()) == {command for command in COMMANDS if command.startswith("re")}


def test_manual_renders():
    page = ROOT / "docs/weir.1"
    done = subprocess.run(["man", "--warnings=w", "-l", "-Tutf8", page], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0 and done.stderr == "", done.stderr
    text = re.sub(r".\x08|\x1b\[[0-9;]*m", "", done.stdout)
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b", text), f"the manual has nothing on {command}"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_fmt_is_idempotent(path, tmp_path):
    shutil.copytree(path.parent, tmp_path, dirs_exist_ok=True)  # with the files that it names
    copy = tmp_path / "copy.yaml"
    for arguments in [[], ["--long"]]:
        copy.write_text(path.read_text())
        code, once, error = run_weir("fmt", copy, *arguments)
        assert code == 0, error
        once = once or copy.read_text()
        copy.write_text(once)
        code, twice, error = run_weir("fmt", copy, *arguments)
        assert code == 0 and (twice or copy.read_text()) == once
        assert run_weir("check", copy)[0] == 0


@pytest.mark.parametrize("phrase,long", [
    ("GET /healthz", "{path: /healthz}"),
    ("GET /healthz every 1s", "{path: /healthz, every: 1s}"),
    ("GET /h expect 200|204-206 body ready fall 1", '{path: /h, fall: 1, expect: [200, 204-206], body: "ready"}'),
    ("tcp every 9s", '{path: "*", method: tcp, every: 9s}'),
    ("command /bin/true", "{path: /bin/true, method: command}"),
    ("HEAD /a?b=c every 250ms timeout 100ms", "{path: \"/a?b=c\", method: HEAD, every: 250ms, timeout: 100ms}"),
])
def test_long_form_of_a_health_phrase(phrase, long, tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text(f"version: 1\nlisten: \":8080\"\nservices:\n  user: {{at: 127.0.0.1:1, health: {phrase}}}\nroutes: {{/**: user}}\n")
    code, out, error = run_weir("fmt", path, "--long")
    assert code == 0, error
    assert f"health: {long}" in out
    path.write_text(out)
    assert run_weir("check", path)[0] == 0


def test_fmt_keeps_links_and_modes(tmp_path):
    (tmp_path / "there").mkdir()
    real, link = tmp_path / "there" / "real.yaml", tmp_path / "weir.yaml"
    real.write_text("version: 1   \n\n\n\n\nlisten: \":8080\"\nroutes: {/: {respond: hello}}\n")
    real.chmod(0o640)
    link.symlink_to("there/real.yaml")
    code, _, error = run_weir("fmt", link, "--write")
    assert code == 0, error
    assert link.is_symlink() and "version: 1\n\n" in real.read_text()
    assert real.stat().st_mode & 0o7777 == 0o640
    assert sorted(path.name for path in real.parent.iterdir()) == ["real.yaml"]
