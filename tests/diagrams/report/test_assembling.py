"""What the page is made of: libraries as their authors published them, and our modules put one after the other."""

import hashlib
import re

import pytest

from statecore_diagrams.report.page import LIBRARIES, LICENCES, STATIC, VENDOR, Page, link


def listed() -> dict[str, str]:
    """Return the files that VENDORED.md lists, with their checksums."""
    text = (VENDOR / "VENDORED.md").read_text()
    return dict(re.findall(r"^\| (\S+) \| \S+ \| ([0-9a-f]{64}) \|$", text, re.MULTILINE))


def test_every_vendored_file_is_as_it_was_published() -> None:
    """
    A library that was changed here could not be replaced by its next version. `python diagrams/vendor.py` fetches them anew.
    """
    there = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in VENDOR.iterdir()
        if file.name not in ("VENDORED.md", "__pycache__")
    }

    assert there == listed()


def test_every_library_comes_with_its_licence() -> None:
    """
    In the repository, and in each page that is handed on.
    """
    page = "".join(Page().parts("a page", {"live": True}))

    assert {f"{name}.LICENSE" for name in LICENCES} <= listed().keys()
    assert {name.partition(".")[0].partition("-")[0] for name in LIBRARIES} == set(LICENCES)
    for name in LICENCES:
        assert (VENDOR / f"{name}.LICENSE").read_text() in page


@pytest.mark.parametrize("name", ["main", "engine"])
def test_modules_are_put_together_so_that_each_stands_behind_what_it_needs(name: str) -> None:
    """
    Two modules that give the same name to something would not be one script; a browser refuses that, and so does this.
    """
    script = link(name)
    names = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", script, re.MULTILINE)

    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)
    assert len(names) == len(set(names))
    assert "</script" not in script
    order = re.findall(r"^// ---- (\w+)\.js$", script, re.MULTILINE)
    for module in order:
        for needed in re.findall(r'from "\./(\w+)\.js"', (STATIC / f"{module}.js").read_text()):
            assert order.index(needed) < order.index(module), (needed, module)


def test_a_page_names_no_other_place() -> None:
    """
    Nothing is loaded from elsewhere, by anybody's page, ever.
    """
    ours = "".join(file.read_text() for file in STATIC.iterdir() if file.suffix in (".js", ".css"))

    assert set(re.findall(r"https?://[^\s\"'`)]+", ours)) == {"http://www.w3.org/2000/svg"}


def test_what_a_page_is_about_cannot_end_the_element_it_stands_in() -> None:
    """
    The title and the head hold names out of journals.
    """
    name = "</script></title><script>alert(1)</script>"
    page = "".join(Page().parts(name, {"live": True, "path": name}))

    assert "<script>alert(1)" not in page
