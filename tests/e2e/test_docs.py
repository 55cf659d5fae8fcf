"""What the documents say is what the program does."""

import re
from pathlib import Path

import pytest

from authority import Authority
from gateway import run_weir

ROOT = Path(__file__).resolve().parents[2]


def yaml_blocks(path):
    return re.findall(r"^```yaml\n(.*?)^```", (ROOT / path).read_text(), re.M | re.S)


def test_reference_is_printed_by_the_program():
    """To mend it: build/weir reference > docs/reference.md"""
    code, printed, _ = run_weir("reference")
    assert code == 0
    assert printed == (ROOT / "docs/reference.md").read_text()


def test_readme_shows_the_shop_as_it_is():
    shop = (ROOT / "examples/shop.yaml").read_text()
    assert yaml_blocks("README.md")[0] == shop[shop.index("version:"):]


GUIDE = ["docs/guide.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs/guide").glob("*.md"))]
DOCUMENTS = ["README.md", "CHANGELOG.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_documents_are_whole(path):
    """Two changes that were put together badly show here: a block of code that does not end or has lost its kind, a heading in
    the middle of a paragraph or a table."""
    fence, before = None, ""
    for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
        place = f"{path}:{number}: {line}"
        if line.startswith("<<<<<<<") or line.startswith(">>>>>>>"):
            raise AssertionError(place)
        if line.lstrip().startswith("```"):
            assert fence is None or line.strip() == "```", f"{place}: the block of line {fence} is still open"
            assert fence is not None or before == "", f"{place}: no empty line before the block"
            fence = None if fence is not None else number
        elif fence is None and re.match("#+ ", line):
            assert before == "" or before.startswith("#"), f"{place}: no empty line before the heading"
        before = line
    assert fence is None, f"{path}: the block of line {fence} does not end"


def anchor(heading):
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", DOCUMENTS)
def test_links_lead_somewhere(path):
    text = re.sub(r"^```.*?^```", "", (ROOT / path).read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        file, _, place = target.partition("#")
        other = (ROOT / path).parent / file if file else ROOT / path
        assert other.exists(), f"{path}: {target}"
        headings = [anchor(h) for h in re.findall(r"^#+ (.*)", other.read_text(), re.M)] if place else []
        assert not place or place in headings, f"{path}: {target}"


def test_the_guide_says_the_order_of_policies():
    order = re.findall(r"^POLICY\((\w+)\)", (ROOT / "src/policy/policies.def").read_text(), re.M)
    said = re.search(r"^The order in which policies run .*?: (.*?)\. ", (ROOT / "docs/guide/routes.md").read_text(), re.M)[1]
    assert re.findall("`(.*?)`", said) == [name.replace("_", "-") for name in order]


@pytest.mark.parametrize("path", ["README.md", *GUIDE])
def test_every_configuration_is_good(path, tmp_path):
    blocks = yaml_blocks(path)
    authority = Authority(tmp_path)
    for name in ["shop.example", "admin.shop.example"]:  # the files that the configurations name
        authority.issue(name, "www." + name, file=name.split(".")[0])
    authority.issue("shop.example", "www.shop.example", file="shop-rsa", kind="rsa")
    authority.issue("staff", file="staff")
    (tmp_path / "consumers.jsonl").write_text(f'{{"name": "acme", "sha256": "{"0" * 64}"}}\n')
    (tmp_path / "users.htpasswd").write_text("alice:$2y$05$" + "a" * 53 + "\n")
    for number, block in enumerate(blocks):
        assert "version:" in block, f"{path}, block {number} is no whole configuration"
        file = tmp_path / f"{number}.yaml"
        file.write_text(block)
        code, out, err = run_weir("test" if "tests:" in block else "check", file)
        assert code == 0, f"{path}, block {number}:\n{out}{err}"


@pytest.mark.parametrize("path", sorted(p.name for p in (ROOT / "examples").glob("*.yaml")))
def test_examples_hold(path):
    assert run_weir("check", ROOT / "examples" / path)[0] == 0
    code, out, err = run_weir("test", ROOT / "examples" / path)
    assert code == 0, out + err
    assert run_weir("fmt", "--check", ROOT / "examples" / path)[0] == 0
