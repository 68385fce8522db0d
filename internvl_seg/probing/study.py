"""What a study comes to: all heads of all its encoders, and the figures of those that are chosen."""

from pathlib import Path

from .encoder_study import EncoderStudy
from .scored import Scored
from .selection import Reported, Selection, report_chosen
from .summary import best_by_encoder, best_head
from .task import Task


class Study:
    """What a study came to.

    Attributes:
        scored: All heads.
        parts: By encoder's name, its part.
        selection: On which images heads are chosen and scored.
        reported: By encoder's name, the figure of its chosen head on images that had no part in the choice; of all
            encoders together under ''. None of a head that is in no file.
    """

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.reported: dict[str, Reported | None] = {}
        self.scored = Scored([], [], [])
        self.parts: dict[str, EncoderStudy] = {}

    def add(self, part: EncoderStudy, scored: Scored) -> None:
        """Add heads of an encoder."""
        self.parts[part.features.encoder.name] = part
        self.scored.results.extend(scored.results)
        self.scored.counts.extend(scored.counts)
        self.scored.predicted.extend(scored.predicted)

    def report(self, task: Task, folder: Path) -> None:
        """Find the figures of the chosen heads.

        Args:
            task: The data.
            folder: Of the study.

        Raises:
            ConfigError: The test set is not scored as the validation images are.
        """
        results = self.scored.results
        for name, best in best_by_encoder(results).items():
            own = [i for i, result in enumerate(results) if result.spec.encoder == name]
            counts = [self.scored.counts[i] for i in own]
            self.reported[name] = report_chosen([results[i] for i in own], counts, self.selection, task, folder)
            if best is best_head(results):
                self.reported[""] = self.reported[name]
        if len(self.parts) > 1 and self.reported and self.selection.on == "folds":
            self.reported[""] = report_chosen(results, self.scored.counts, self.selection, task, folder)
