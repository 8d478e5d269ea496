"""What no file may say, and that every link in the documentation leads somewhere."""

import re
from pathlib import Path

from tests.house.checkout import ROOT, files, place

# The brackets keep this file from saying it.
UNSPEAKABLE = {
    "a registry's address": r"py[p]i\.org|python[h]osted\.org|np[m]js\.(org|com)|repo1?\.[m]aven\.org"
    r"|repo\.maven\.[a]pache\.org|proxy\.[g]olang\.org|crates\.[i]o|ruby[g]ems\.org",
    "a path of its author's machine": r"(?<![\w.-])/(wor[k]|tm[p]/briefs|op[t]/wheels|hom[e]/(?!appuser)|roo[t])/",
    "work that was left": r"\b(TOD[O]|FIXM[E])\b|(#|//|<!--) *XX[X]\b",
}
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def texts() -> list[tuple[Path, str]]:
    """Every file that is text."""
    found = []
    for file in files():
        content = file.read_bytes()
        if b"\0" not in content[:8000]:
            found.append((file, content.decode(errors="replace")))
    return found


def test_no_file_says_what_it_should_not():
    said = [
        f"{place(file, text.count(chr(10), 0, match.start()) + 1)} names {what} ({match[0]})"
        for file, text in texts()
        for what, pattern in UNSPEAKABLE.items()
        for match in re.finditer(pattern, text)
    ]

    assert said == [], "; ".join(said)


def headings(text: str) -> set[str]:
    """The anchors that a Markdown file offers."""
    titles = re.findall(r"^#+ +(.+?) *$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_relative_link_leads_somewhere():
    broken = []
    for file, text in texts():
        if file.suffix != ".md":
            continue
        for target in LINK.findall(CODE.sub("", text)):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            path = (file.parent / name).resolve() if name else file
            if not path.exists() or (anchor and path.suffix == ".md" and anchor not in headings(path.read_text())):
                broken.append(f"{place(file)} links to {target}")

    assert broken == [], "; ".join(broken)


def test_every_decision_is_numbered_and_in_the_same_form():
    records = sorted(file for file in files() if file.parent == ROOT / "docs" / "adr" and file.suffix == ".md")
    wanted = ["## Status", "## Context", "## Decision", "## Consequences"]

    assert [int(file.name[:4]) for file in records] == list(range(1, len(records) + 1))
    assert [(file.name, re.findall(r"^## .+$", file.read_text(), flags=re.MULTILINE)) for file in records] == [
        (file.name, wanted) for file in records
    ]


def test_every_decision_is_listed_in_the_architecture():
    architecture = (ROOT / "docs" / "architecture.md").read_text()
    unlisted = [file.name for file in files() if file.parent.name == "adr" and f"adr/{file.name}" not in architecture]

    assert unlisted == []
