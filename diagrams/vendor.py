"""Fetch the libraries that the report and the inspector carry, and write down what they are.

    python diagrams/vendor.py

Files are taken as their authors published them to npm, unchanged, with their licences. To take a newer version, change
`PACKAGES`, run this, run the tests of `tests/diagrams`, look at a report, and commit what it wrote.
"""

import hashlib
import io
import json
import tarfile
import urllib.request
from pathlib import Path
from typing import Final, NamedTuple

HERE: Final = Path(__file__).parent / "statecore_diagrams" / "report" / "vendor"


class Package(NamedTuple):
    """A library.

    Args:
        name: on npm.
        version: of it.
        files: (path in the package, name here).
        why: what it is used for.
    """

    name: str
    version: str
    files: tuple[tuple[str, str], ...]
    why: str


PACKAGES: Final = (
    Package(
        "preact",
        "10.29.8",
        (
            ("dist/preact.min.umd.js", "preact.js"),
            ("hooks/dist/hooks.umd.js", "preact-hooks.js"),
            ("LICENSE", "preact.LICENSE"),
        ),
        "views; 4 kB, no build step, and it puts text into the page as text. Not 11, which is not published as a script",
    ),
    Package(
        "htm",
        "3.1.1",
        (("dist/htm.umd.js", "htm.js"), ("LICENSE", "htm.LICENSE")),
        "writes those views down in plain JavaScript; by preact's authors",
    ),
    Package(
        "uplot",
        "1.6.32",
        (("dist/uPlot.iife.min.js", "uplot.js"), ("dist/uPlot.min.css", "uplot.css"), ("LICENSE", "uplot.LICENSE")),
        "charts on a canvas: time axes, scales, selection; 100,000 points without a pause",
    ),
    Package(
        "@dagrejs/dagre",
        "3.1.3",
        (("dist/dagre.min.js", "dagre.js"), ("LICENSE", "dagre.LICENSE")),
        "lays out the diagram of a machine whose definition is not at hand, from what the journal shows of it",
    ),
)


def fetch(package: Package) -> tuple[str, dict[str, bytes]]:
    """Return a package's licence and the files wanted of it, after the check that npm's own checksum allows."""
    with urllib.request.urlopen(f"https://registry.npmjs.org/{package.name}/{package.version}") as answer:
        about = json.load(answer)
    with urllib.request.urlopen(about["dist"]["tarball"]) as answer:  # noqa: S310 - https, as npm says
        archive = answer.read()
    if hashlib.sha1(archive).hexdigest() != about["dist"]["shasum"]:  # noqa: S324 - npm's, against a broken download
        raise SystemExit(f"{package.name}: the download is broken")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        found = {}
        for path, name in package.files:
            member = tar.extractfile(f"package/{path}")
            if member is None:
                raise SystemExit(f"{package.name} {package.version} has no {path}")
            found[name] = member.read()
    return about["license"], found


def main() -> None:
    """Fetch everything, and write VENDORED.md."""
    lines = [
        "# Vendored libraries",
        "",
        "Unchanged files of these packages on npm (`https://registry.npmjs.org/NAME/VERSION`). Written by",
        "`python diagrams/vendor.py`, which fetches them anew; a test holds the checksums.",
        "",
        "| package | version | licence | what for |",
        "|---|---|---|---|",
    ]
    sums = ["", "| file | in the package | sha256 |", "|---|---|---|"]
    for package in PACKAGES:
        licence, files = fetch(package)
        lines.append(f"| {package.name} | {package.version} | {licence} | {package.why} |")
        for path, name in package.files:
            (HERE / name).write_bytes(files[name])
            sums.append(f"| {name} | {package.name}/{path} | {hashlib.sha256(files[name]).hexdigest()} |")
    (HERE / "VENDORED.md").write_text("\n".join([*lines, *sums, ""]))


if __name__ == "__main__":
    main()
