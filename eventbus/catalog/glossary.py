"""What the fields mean: one name, one meaning in every event, kept in docs/events/glossary.toml."""

import tomllib
from pathlib import Path
from typing import Any


class Glossary:
    """The meanings by name on the wire, and which of them were asked for.

    An entry is a sentence, or a table with a `meaning` and an `example` that samples take instead of a made-up value.
    """

    def __init__(self, entries: dict[str, Any]) -> None:
        self.entries = entries
        self.asked: set[str] = set()

    @classmethod
    def read(cls, file: Path) -> "Glossary":
        """The glossary in a TOML file; an empty one when there is none."""
        return cls(tomllib.loads(file.read_text()) if file.is_file() else {})

    def annotate(self, name: str) -> dict[str, Any]:
        """The description and the example of a field as JSON Schema says them; nothing for an unknown name."""
        self.asked.add(name)
        entry = self.entries.get(name)
        if isinstance(entry, dict):
            return {"description": entry["meaning"], "examples": [entry["example"]]}
        return {"description": entry} if entry else {}

    @property
    def unknown(self) -> list[str]:
        """Names that were asked for and have no meaning."""
        return sorted(self.asked - self.entries.keys())

    @property
    def unused(self) -> list[str]:
        """Meanings that no event needs."""
        return sorted(self.entries.keys() - self.asked)
