"""docs/testing.md names what the plugin has, all of it."""

import re

from eventbus import faults, testing
from tests.house.checkout import ROOT

PAGE = (ROOT / "docs" / "testing.md").read_text()


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def test_every_fault_point_is_explained() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", section("Fault points"), re.MULTILINE)) == faults.POINTS


def test_every_method_of_the_bus_is_explained() -> None:
    named = set(re.findall(r"`(?:with )?event_bus\.(\w+)\(", section("The whole bus")))

    assert named == {name for name, what in vars(testing.EventBus).items() if callable(what) and name[0] != "_"} - {
        "restart"
    }
