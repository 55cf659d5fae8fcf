"""Malformed configurations, more than 400 of more than 40 kinds: each is refused with exit code 3, in good time, with the
right place and a useful word. `§` marks where the diagnostic has to point and is taken out before the file is written."""

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from gateway import SANITIZED, WEIR

SLOW = 10 if SANITIZED else 1
PATIENCE = 15 * SLOW  # seconds for one file on a busy machine; it takes milliseconds

HEAD = 'version: 1\nlisten: "127.0.0.1:0"\n'
BACK = HEAD + 'services: {back: "127.0.0.1:1"}\n'
ROUTE = "routes: {/**: back}\n"
cases = []  # (kind, text or bytes, a word of the diagnostic)


def bad(kind, text, word):
    cases.append((kind, text, word))


def each(kind, template, values, word):
    for value in values:
        bad(kind, template.replace("@", value), word)


def in_service(value):
    return HEAD + "services:\n  back: {at: \"127.0.0.1:1\", " + value + "}\n" + ROUTE


def in_route(value):
    return BACK + "routes:\n  /**: {to: back, " + value + "}\n"


DURATIONS = {"drain: @\n": None, "http: {head-timeout: @}\n": None, "http: {body-timeout: @}\n": None,
             "http: {keep-alive: @}\n": None, "http: {request-timeout: @}\n": None}
for place in DURATIONS:
    each("a duration without its unit", BACK + ROUTE + place, ["§5", "§30", "§1.5", "§0x10"], "unit")
    each("a duration with a wrong unit", BACK + ROUTE + place, ["§5 parsecs", "§5MiB", "§3sec"], "")
    each("a duration that is none", BACK + ROUTE + place, ["§fast", "§-5s", "§''", "§1s1h"], "")
    each("a list for a duration", BACK + ROUTE + place, ["§[5s]"], "duration")
    if not place.startswith("drain"):  # which has a long form
        each("a map for a duration", BACK + ROUTE + place, ["§{a: 5s}"], "duration")
    bad("a duration that overflows", BACK + ROUTE + place.replace("@", "§99999999999999999999h"), "")
each("a duration without its unit", in_service("health: {path: /, every: @}"), ["§3", "§0.5"], "unit")
for text in ["§3", "§3 bananas", "§[1s]"]:
    bad("a route's wrong timeout", in_route(f"timeout: {text}"), "")

for place in ["line-max", "head-max", "trailers-max"]:
    each("a size without its unit", BACK + ROUTE + f"http: {{{place}: @}}\n", ["§8192", "§1.5"], "unit")
    each("a size with a wrong unit", BACK + ROUTE + f"http: {{{place}: @}}\n", ["§8kb", "§8s", "§8 Kibi", "§8%"], "")
    each("a size out of bounds", BACK + ROUTE + f"http: {{{place}: @}}\n", ["§1B", "§1GiB"], "")
    each("a size of a wrong type", BACK + ROUTE + f"http: {{{place}: @}}\n", ["§[8KiB]", "§{size: 8KiB}", "§"], "")
each("a body limit that is no size", BACK + "routes: {/**: {to: back, body-limit: @}}\n", ["§5", "§big", "§5s", "§-1B"], "")

for name in ["fields-max", "requests-max", "connections-max"]:
    each("a number that is none", BACK + ROUTE + f"http: {{{name}: @}}\n", ["§many", "§1.5", "§10s", "§''", "§0x10", "§1e3"], "number")
    bad("a number out of bounds", BACK + ROUTE + f"http: {{{name}: §-1}}\n", "")
    bad("a number that overflows", BACK + ROUTE + f"http: {{{name}: §99999999999999999999}}\n", "")
each("workers that are none", BACK + ROUTE + "workers: @\n", ["§-1", "§many", "§100000", "§1.5", "§[2]"], "workers")
each("a flag that is none", BACK + ROUTE + "http: {via: @}\n", ["§maybe", "§1", "§TRUE", "§[true]", "§{}"], "")
for name, words in {"encoded-slash": "refuse", "forwarded": "x-forwarded"}.items():
    each("a word that is none of the choices", BACK + ROUTE + f"http: {{{name}: @}}\n", ["§never", "§''", "§5"], words)
    bad("a list for a word", BACK + ROUTE + f"http: {{{name}: §[keep]}}\n", "list")
each("a log format that is none", BACK + ROUTE + "log: {to: a.log, format: @}\n", ["§xml", "§JSON", "§5"], "json")
each("a log buffer that is none", BACK + ROUTE + "log: {to: a.log, buffer: @}\n", ["§1", "§1B", "§big"], "")

for wrong, right in {"§servces": "services", "§lisen": "listen", "§route": "routes", "§limit": "limits", "§drian": "drain",
                     "§worker": "workers", "§trustd": "trusted", "§host": "hosts", "§test": "tests", "§admn": "admin"}.items():
    bad("an unknown option at the top", BACK + ROUTE + f"{wrong}: x\n", right)
for wrong, right in {"heath": "health", "balence": "balance", "timeot": "timeout", "att": "at"}.items():
    bad("an unknown option of a service", HEAD + f'services:\n  back: {{at: "127.0.0.1:1", §{wrong}: x}}\n' + ROUTE, right)
for wrong, right in {"cosr": "cors", "rewite": "rewrite", "timeot": "timeout", "hedaers": "headers", "body-limt": "body-limit",
                     "prioritty": "priority", "wen": "when"}.items():
    bad("an unknown option of a route", in_route(f"§{wrong}: x"), right)
for wrong, right in {"orgins": "origins", "method": "methods", "max_age": "max-age", "credentails": "credentials"}.items():
    bad("an unknown option of a policy", in_route(f"cors: {{origins: '*', §{wrong}: x}}"), right)
for wrong, right in {"head_timeout": "head-timeout", "keepalive": "keep-alive", "vai": "via"}.items():
    bad("an unknown option of http", BACK + ROUTE + f"http: {{§{wrong}: 1s}}\n", right)
for wrong in ["bakc", "Back", "bac", "backs"]:
    bad("an unknown service", BACK + f"routes: {{/**: §{wrong}}}\n", "back")
    bad("an unknown service in the long form", BACK + f"routes: {{/**: {{to: §{wrong}}}}}\n", "back")
for wrong in ["limits.lgoin", "limit.login", "login", "limits.", "limits.login.x"]:
    bad("an unknown policy", BACK + f"limits: {{login: 5/min}}\nroutes: {{/**: {{to: back, use: [§{wrong}]}}}}\n", "")
bad("an unknown policy in the file's use", BACK + "limits: {login: 5/min}\nuse: [§limits.logn]\n" + ROUTE, "login")
each("a balancer that is none", in_service("balance: @"), ["§round-robbin", "§fastest", "§[a]", "'§'"], "")

for key in ["listen: \":1\"", "services: {}", "routes: {}", "http: {}", "version: 1"]:
    body = BACK + ROUTE + "http: {}\n"
    bad("a key that occurs twice", body + "§" + key + "\n", "twice")
bad("a service that occurs twice", HEAD + 'services:\n  back: "127.0.0.1:1"\n  §back: "127.0.0.1:2"\n' + ROUTE, "twice")
bad("a route that occurs twice", BACK + "routes:\n  /a: back\n  §/a: back\n", "twice")
bad("an option that occurs twice", in_service("timeout: 1s, §timeout: 2s"), "twice")
bad("a flow key that occurs twice", BACK + ROUTE + "http: {via: true, §via: false}\n", "twice")

for one, two in [("GET /a/{x}", "GET /a/{y}"), ("/a/*", "/a/{x}"), ("GET,POST /a", "POST,PUT /a"), ("/{a}/b", "/{b}/b"),
                 ("/**", "/{rest}/**" if False else "/**/")]:
    if two != "/**/":
        bad("two routes that tie", BACK + f'routes:\n  "{one}": back\n  "§{two}": back\n'.replace('"§', '§"'), "two routes")

for path in ["/{", "/{a", "/a}", "/{a}{b}", "/{a:}", "/a/**/b", "/{}", "/{a}/{a}", "/a?b", "/a#b", "/{a:[}"]:
    bad("a path pattern that is none", BACK + f"routes:\n  §'{path}': back\n", "")
for key in ["users", "GET", "get /a", "GET a", "GET  ", "G@T /a", "GET,get /a", "''"]:
    bad("a route's key that is none", BACK + f"routes:\n  §'{key}': back\n" if key != "''" else BACK + "routes:\n  §'': back\n", "")
for regex in ["[", "(", "a{2,1}", "*", "(?<n"]:
    bad("a regular expression that is none", BACK + f"routes:\n  §'/x/{{n:{regex}}}': back\n", "")
for regex in ["[§", "(§", "(?<§", "a*§*"]:
    bad("a rewrite's pattern that is none", in_route("rewrite: {path: {match: '" + regex + "', with: a}}"), "match")

for text in ["/{idd}", "/u/{first}/{second:[a-z]{2}}/x{third:int}", "/**"]:
    bad("a parameter that the path has not", BACK + f"routes:\n  '{text}': {{to: back, when: §path.id == 7}}\n", "parameter")
    bad("a parameter that the path has not", BACK + f"routes:\n  '{text}': {{respond: 'user ${{§path.id}}'}}\n", "parameter")
    bad("a parameter that the path has not", BACK + f"routes:\n  '{text}': {{to: back, limit: {{per: §path.id, rate: 5/min}}}}\n", "parameter")
for expression in ["§header.", "§== 1", "header.x ==§", "(header.x§", "header.x and§", "§nonsense.x", "header.x ==§= 1",
                   "§client.port.x", "§path.", "header.x §= 1", "§\"open", "1 §+", "not§", "header.x in [§", "§foo(1)", "§client.ipp"]:
    bad("an expression that is none", in_route(f"when: '{expression}'"), "")
for template in ["§${", "${§}", "${§nonsense.x}", "a §${client.ip", "${§client.}", "§${header.x", "${§claims.a}"]:
    bad("a template that is none", BACK + f"routes: {{/**: {{respond: '{template}'}}}}\n", "")
for name in ["WEIR_NO_SUCH", "WEIR_NEITHER"]:
    bad("an environment variable that is not set", HEAD + 'services: {back: "§${' + name + '}"}\n' + ROUTE, name)
for text in ["${A", "${A:B}", "${A:-", "${A-b}"]:
    bad("a malformed environment variable", HEAD + 'services: {back: "§' + text + '"}\n' + ROUTE, "")

for address in ["8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1:http", "[::1", "[::1]", "::1:80",
                "unix:", "256.0.0.1:80", "127.0.0.1:80:80", "http://127.0.0.1:80", "*:80", "localhost:80 ", "''"]:
    bad("a listen address that is none", f"version: 1\nlisten: §\"{address}\"\nservices: {{back: \"127.0.0.1:1\"}}\n" + ROUTE, "")
    bad("an admin address that is none", BACK + ROUTE + f"admin: §\"{address}\"\n", "")
    bad("a long listen address that is none", f"version: 1\nlisten: {{http: {{address: §\"{address}\"}}}}\n" + ROUTE, "")
for long, word in {"§{}": "address", "{§adress: ':1'}": "address", "{address: §[':1']}": "text"}.items():
    bad("a listener that is none", f"version: 1\nlisten: {{http: {long}}}\nservices: {{back: \"127.0.0.1:1\"}}\n" + ROUTE, word)
    bad("an admin listener that is none", BACK + ROUTE + f"admin: {long}\n", word)
for address in ["", "127.0.0.1:99999", "[::1", "a b:80", "127.0.0.1:x", ":80", "ftp://a:80", "https://"]:
    bad("an endpoint's address that is none", HEAD + f'services: {{back: §"{address}"}}\n' + ROUTE, "")
for network in ["10.0.0.0/33", "10.0.0", "::1/129", "a/8", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.1/8x"]:
    bad("a network that is none", BACK + ROUTE + f"trusted: §'{network}'\n", "")
    bad("a network that is none, in a policy", in_route(f"ip: {{deny: §'{network}'}}"), "")
for host in ["a b", "*.*.a", "a.*", "a..b", "a/b", "http://a", "*a.b"]:
    bad("a host that is none", BACK + f"hosts: [§'{host}']\n" + ROUTE, "")

for rate in ["5", "5/", "/min", "5/fortnight", "-5/min", "5 per min", "0/min", "5/0s", "five/min"]:
    bad("a rate that is none", BACK + f"limits: {{a: §'{rate}'}}\nroutes: {{/**: {{to: back, use: [limits.a]}}}}\n", "")
for phrase in ["§GET", "GET §healthz", "GET /h §every", "GET /h every §5", "GET /h §each 5s", "§/h every 5s please"]:
    bad("a health check that is none", in_service(f"health: '{phrase}'"), "")
for code in ["99", "600", "abc", "[200]"]:
    bad("a redirect's code that is none", BACK + f"routes: {{/**: {{redirect: {{to: /a, code: §{code}}}}}}}\n", "")

bad("no version", "§listen: ':0'\n" + ROUTE, "version")
bad("no listen", "§version: 1\nservices: {back: \"127.0.0.1:1\"}\n" + ROUTE, "listen")
each("a version of the future", "version: @\nlisten: ':0'\nroutes: {/: {respond: a}}\n", ["§2", "§0", "§one", "§1.0", "§[1]", "§''"], "version")
bad("a service without an endpoint", HEAD + "services: {back: §{timeout: 1s}}\n" + ROUTE, "")
bad("a service with an empty list", HEAD + "services: {back: §{at: []}}\n" + ROUTE, "")
bad("a route that does nothing", BACK + "routes: {/**: §{timeout: 1s}}\n", "what to do")
bad("a route that does two things", BACK + "routes: {/**: {to: back, §respond: a}}\n", "both")
bad("files without a root", BACK + "routes: {/**: {files: §{}}}\n", "root")
bad("a redirect to nowhere", BACK + "routes: {/**: {redirect: §{code: 308}}}\n", "to")
bad("cors without origins", in_route("cors: §{methods: [GET]}"), "origins")
bad("ip without networks", in_route("ip: §{}"), "")
each("a wrong type at the top", "version: 1\nlisten: ':0'\n@\n",
     ["services: §[a]", "services: §text", "routes: §[a]", "routes: §text", "http: §[a]", "limits: §[a]", "tests: §text", "hosts: §{a: b}",
      "trusted: §{a: b}", "use: §{a: b}"], "")
each("a wrong type in a route", BACK + "routes: {/**: @}\n", ["[§[back]]", "{to: §[back]}", "{to: §{a: b}}", "{to: back, use: §{a: b}}",
     "{to: back, hosts: §{a: b}}", "{to: back, when: §[a]}", "{to: back, headers: §[a]}"], "")
each("no value", BACK + "@\n" + ROUTE, ["drain:§", "http: {via: §}", "limits: {a: §}"], "")

for text in ["services:\n§\tback: x\n", "http:\n  via: true\n§\tkeep-alive: 5s\n"]:
    bad("a tab for indentation", HEAD + text, "")
for text in ["routes: §{/**: back\n", "routes: §[a, b\n", "services: §{back: {at: x}\n"]:
    bad("a bracket that is not closed", HEAD + text, "")
for text in ["routes: §\"open\n", "routes: §'open\n", 'services: {back: §"a}\n']:
    bad("a quote that is not closed", HEAD + text, "")
whole = BACK + "routes:\n  GET /a: {to: back, timeout: 5s}\n  POST /b: [{when: header.x, to: back}, {to: back}]\n"
for cut in (len(whole) - 3, len(whole) - 20, len(whole) - 60, whole.index("back: \"") + 3, 60):
    bad("a truncated file", whole[:cut], "")
bad("an escape that is none", HEAD + 'routes: {/**: {respond: "\\§q"}}\n'.replace("§", ""), "")
each("an anchor that is none", HEAD + "routes: @\n", ["§*nobody"], "anchor")
bad("a cycle", HEAD + "routes: &a {/**: §*a}\n", "")
bad("a cycle through two", HEAD + "routes: &a {/x: &b [§*a]}\n", "")
bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [" + ",".join([f"*a{n - 1}"] * 10) + "]\n" for n in range(1, 12))
bad("an alias bomb", bomb, "alias")
bad("a merge key", HEAD + "x: &x {a: b}\nroutes:\n  <<: *x\n", "")
bad("a tag", HEAD + "routes: §!!python/object:os.system {}\n", "")
bad("two documents", BACK + ROUTE + "---\nversion: 1\n", "")
bad("a list for a file", "§- a\n- b\n", "map")
bad("text for a file", "§hello\n", "")
each("nothing in a file", "@", ["", "\n\n", "# only a comment\n", "---\n"], "")
for depth in (100, 10_000, 200_000):
    bad("brackets without end", HEAD + "routes: " + "[" * depth + "]" * depth + "\n", "")
    bad("maps without end", HEAD + "routes: " + "{a: " * depth + "}" * depth + "\n", "")
bad("a key of 1 MB", HEAD + "k" * 1_000_000 + ": a\n" + ROUTE, "")
bad("a complex key", HEAD + "? {a: b}\n: c\n" + ROUTE, "")

bad("a NUL", (BACK + ROUTE).encode() + b"# \0\n", "NUL")
for data in [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"caf\xe9"]:
    bad("bytes that are not UTF-8", (BACK + ROUTE).encode() + b"# " + data + b"\n", "UTF-8")
bad("UTF-16", (BACK + ROUTE).encode("utf-16"), "UTF-16")
bad("a control character", (BACK + ROUTE).encode() + b"# \x1b[31m\n", "control")
bad("a program", open(WEIR, "rb").read(200_000), "")
bad("random bytes", bytes((n * 7919 + n // 256 * 31) % 256 for n in range(100_000)), "")
bad("a file of 50 MB", (BACK + ROUTE).encode() + b"# " + b"x" * 50_000_000, "too large")
bad("a list of 50 MB", b"hosts: [" + b"a.b," * 12_500_000 + b"]\n", "too large")

KINDS = sorted({kind for kind, _, _ in cases})


def check(job):
    number, kind, text, word, folder = job
    path = folder / f"{number}.yaml"
    place = None
    if isinstance(text, str):
        if "§" in text:
            before = text[:text.index("§")]
            place = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
            text = text.replace("§", "", 1)
        path.write_bytes(text.encode())
    else:
        path.write_bytes(text)
    shown = repr(path.read_bytes()[:300])
    began = time.monotonic()
    try:
        done = subprocess.run([WEIR, "check", path, "--json"], capture_output=True, timeout=PATIENCE * 5)
    except subprocess.TimeoutExpired:
        return f"{kind}: hangs: {shown}"
    finally:
        path.unlink()
    took = time.monotonic() - began
    if done.returncode != 3:
        return f"{kind}: exit code {done.returncode}: {shown} {done.stderr[:500]!r}"
    problems = [one for one in json.loads(done.stdout) if one["severity"] == "error"]
    said = "; ".join(f"{one['line']}:{one['column']} {one['message']} ({one['hint']})" for one in problems[:3])
    if not problems or not problems[0]["message"]:
        return f"{kind}: says nothing: {shown}"
    if took > PATIENCE:
        return f"{kind}: took {took:.1f} s: {shown}"
    if word and word.lower() not in said.lower():
        return f"{kind}: no word of \"{word}\": {shown}: {said}"
    if place and place not in [(one["line"], one["column"]) for one in problems]:
        return f"{kind}: not at {place[0]}:{place[1]}: {shown}: {said}"
    return None


def test_there_are_enough():
    assert len(cases) >= 400 and len(KINDS) >= 40, (len(cases), len(KINDS))


@pytest.mark.timeout(120 * SLOW)
def test_each_is_refused_in_its_place(tmp_path):
    jobs = [(number, *case, tmp_path) for number, case in enumerate(cases)]
    with ThreadPoolExecutor(2) as pool:
        failures = [failure for failure in pool.map(check, jobs) if failure]
    assert not failures, f"{len(failures)} of {len(cases)}:\n" + "\n".join(failures)


def test_the_good_ones_are_good(tmp_path):
    """What the malformed ones are made of is fine as it is."""
    for number, text in enumerate([BACK + ROUTE, in_service("timeout: 1s"), in_route("timeout: 1s"), whole]):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        done = subprocess.run([WEIR, "check", path], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
