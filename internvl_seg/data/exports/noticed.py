"""What of an export is not used, counted while it is read."""


class Noticed:
    """Counts of what was found, with the place of the first of each kind."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, where: str) -> None:
        """Count one.

        Args:
            kind: The sentence, without a full stop: "Key points are no areas and are left out".
            where: Where this one is: "task 7 of export.json".
        """
        count, first = self._found.get(kind, (0, where))
        self._found[kind] = (count + 1, first)

    def notes(self) -> tuple[str, ...]:
        """A sentence for each kind, in the order in which they were found first."""
        return tuple(f"{kind}: {count}, the first in {first}." for kind, (count, first) in self._found.items())
