"""What a reader found and did not use, counted by kind."""


class Notes:
    """Kinds of what was found, with how often and where first."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}
        self._said: list[str] = []

    def add(self, kind: str, first: str, count: int = 1) -> None:
        """Count something.

        Args:
            kind: What it is and what is done with it: "Boxes without a mask, left out".
            first: Where it is: "annotation 7 of instances.json".
            count: How many of them there are.
        """
        before, at = self._found.get(kind, (0, first))
        self._found[kind] = (before + count, at)

    def say(self, sentence: str) -> None:
        """Add a sentence as it is, once."""
        if sentence not in self._said:
            self._said.append(sentence)

    def sentences(self) -> tuple[str, ...]:
        """A sentence for each kind: "Boxes without a mask, left out: 12; the first is annotation 7 of a.json."."""
        counted = (f"{kind}: {count}; the first is {first}." for kind, (count, first) in self._found.items())
        return (*self._said, *counted)
