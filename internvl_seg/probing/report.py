"""A probing study on one page: which head is the best, how the others compare, and how to do it again."""

import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..data.writing import whole_file
from ..visualization.class_figures import MOST_NUMBERS, draw_confusion, draw_per_class, row_shares
from ..visualization.few_shot_figure import draw_few_shot
from ..visualization.probe_figures import draw_score_over_blocks, draw_score_over_lr, name_kind, name_with_word
from ..visualization.results_page import (
    STYLE,
    html_details,
    html_facts,
    html_note,
    html_page,
    html_picture,
    html_table,
)
from .head_spec import HeadResult
from .report_tables import all_heads_table, best_table, repeats_table, reported_table, settings_of
from .selection import Reported
from .summary import best_by_blocks, best_head, mean_and_std, on_all_images, score_of, with_score, without_seeds

_STYLE = (
    STYLE
    + """
.score { font-size: 2.4rem; font-weight: 600; line-height: 1.2; margin: 0; } .score + p { overflow-wrap: anywhere; }
.wide, .scroll { font-variant-numeric: tabular-nums; } .heads { font-size: .9rem; white-space: nowrap; }
.heads :is(th, td) { text-align: left; padding: .25rem .6rem; }
.scroll { overflow: auto; max-height: 32rem; border: 1px solid #ddd; }
.scroll th { position: sticky; top: 0; background: #fff; }
tr.best td { font-weight: 600; background: #eef4fa; }
summary { cursor: pointer; margin: .8rem 0; } pre { overflow-x: auto; font-size: .85rem; } figure { margin: .6rem 0; }
.note { color: #666; font-size: .9rem; }
"""
)
_DPI = 120
# CSS pixels per inch of a figure: below the first its letters are too small, above the second needlessly large.
_LEAST_SCALE, _MOST_SCALE = 62, 104
_MIXUPS_SHOWN = 15
# What tables and figures are of, but for those of the chosen heads on other images.
_ON = ", on the validation images"
_COMPARED = 3


@dataclass(frozen=True)
class Report:
    """What a study's page says.

    Attributes:
        title: Heading.
        metric: Name of the score: 'mIoU' or 'top-1'.
        results: All heads, repeats, few-shot ones and those that diverged among them; at least one.
        classes: Names, C of them.
        confusion: Of the best head, (C, C): how many pixels or images of true class i were predicted as class j. None
            if it is not known.
        pictures: Examples with their names; PNG files as bytes, or figures.
        features: Feature maps as colours with their names, see ``draw_feature_pca``.
        timing: Seconds by phase; no phase is part of another.
        facts: What is needed to repeat the study, by name: config, seed, versions, keys and sizes of stores.
        commands: What was typed, in order.
        config: Text of the config with everything that it takes from others and from options.
        reported: Figures on images that had no part in the choice of a head, by encoder; of all together under ''.
    """

    title: str
    metric: str
    results: Sequence[HeadResult]
    classes: Sequence[str]
    confusion: NDArray[np.int64] | None = None
    pictures: Sequence[tuple[str, Figure | bytes]] = ()
    features: Sequence[tuple[str, Figure]] = ()
    timing: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    commands: Sequence[str] = ()
    config: str = ""
    reported: Mapping[str, Reported | None] = field(default_factory=dict)

    @property
    def several_encoders(self) -> bool:
        """Whether an encoder has to be named to tell heads apart."""
        return len({result.spec.encoder for result in self.results}) > 1


def _section(title: str, *parts: str) -> str:
    """A heading and what is below it; nothing if nothing is."""
    there = [part for part in parts if part]
    return "\n".join([f"<h2>{html.escape(title)}</h2>", *there, ""]) if there else ""


def _picture(name: str, picture: Figure | bytes) -> str:
    """A picture that is scrolled where the page is too narrow for its letters."""
    if isinstance(picture, bytes):
        return html_picture(name, picture)
    file = io.BytesIO()
    # Without the name of the program, so that the same study makes the same bytes with any release of it.
    picture.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
    width = picture.get_figwidth()
    size = f"min-width: {width * _LEAST_SCALE:.0f}px; max-width: {width * _MOST_SCALE:.0f}px"
    return f'<div class="wide"><div style="{size}">{html_picture(name, file.getvalue())}</div></div>'


def _headline(report: Report) -> str:
    if failed := len(report.results) - len(with_score(report.results)):
        told = f"{failed} of {len(report.results)} heads diverged: loss, weights or logits became NaN or infinite."
        if failed == len(report.results):
            return f'<p class="score">no score</p>\n{html_note(told)}\n'
    best = best_head(report.results)
    spec = best.spec
    facts = settings_of(spec) | {"seed": str(spec.seed)}
    (repeated,) = mean_and_std([one for one in report.results if without_seeds(one.spec) == without_seeds(spec)])
    if repeated.n + repeated.diverged > 1:
        facts["with all its seeds"] = f"{repeated} (mean ± std of {repeated.n})"
    facts |= {name: path for name, path in (("checkpoint", best.checkpoint), ("config", best.config)) if path}
    reported = report.reported.get("")
    count = len(report.results)
    if reported is None:
        shown, on = score_of(best), "on the validation images"
        chosen = f"The best of {count} heads, chosen by this very score: expect less on other images."
    else:
        shown, on = reported.score, f"on {reported.images}"
        # Of folds several heads may have been chosen, the one that is named here is that of all of them.
        others = (
            "No image was scored by a head in whose choice it had a part."
            if len(reported.chosen) > 1
            else "These images had no part in the choice of the head."
        )
        chosen = (
            f"{others} The head that is named here is the best of {count} on all validation images, where it has "
            f"{score_of(best):.2f} %; what is below says which images it is of."
        )
    if failed:
        chosen += f" {told}"
    return (
        f'<p class="score">{shown:.2f} % {html.escape(report.metric)}</p>\n<p>{html.escape(on)}</p>\n'
        f"<p><code>{html.escape(spec.name)}</code></p>\n{html_note(chosen)}\n{html_facts(facts, ())}\n"
    )


def _curves(report: Report) -> list[str]:
    heads = on_all_images(report.results)
    parts = [
        html_note("Every point is the best over weight decays, seeds and whatever else heads differ in."),
        _picture(f"{report.metric} over blocks", draw_score_over_blocks(heads, report.metric)),
    ]
    if len({one.spec.lr for one in heads} - {0.0}) > 1:
        parts.append(_picture(f"{report.metric} over the learning rate", draw_score_over_lr(heads, report.metric)))
    return parts


def _per_class(report: Report) -> list[str]:
    best = best_head(report.results)
    compared = sorted(best_by_blocks(report.results), key=lambda one: (one != best, -score_of(one)))[:_COMPARED]
    columns: dict[str, Sequence[float | None]] = {}
    for one in compared:
        encoder = f"{one.spec.encoder}: " if report.several_encoders else ""
        columns[f"{encoder}{name_kind(one.spec)}, {name_with_word(one.spec.blocks)}"] = one.per_class
    label = "IoU in %" if report.metric == "mIoU" else "accuracy in %"
    values = zip(report.classes, *columns.values(), strict=True)
    rows = [[name, *("–" if one is None else f"{one:.1f}" for one in found)] for name, *found in values]
    table = html_table([label, *columns], rows, box="scroll heads")
    name = f"{label} of every class"
    return [_picture(name, draw_per_class(report.classes, columns, label)), html_details("as numbers", table)]


def _confusion(report: Report) -> list[str]:
    if report.confusion is None:
        return []
    parts = [_picture("confusion matrix", draw_confusion(report.confusion, report.classes))]
    if len(report.classes) > MOST_NUMBERS:  # There are no numbers in the picture then.
        shares, wrong = row_shares(report.confusion), report.confusion.copy()
        np.fill_diagonal(wrong, 0)
        largest = np.argsort(-wrong, axis=None, kind="stable")[:_MIXUPS_SHOWN]
        pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(largest, wrong.shape), strict=True) if wrong[i, j]]
        rows = [
            [report.classes[i], report.classes[j], f"{wrong[i, j]:,}".replace(",", " "), f"{shares[i, j]:.1f}"]
            for i, j in pairs
        ]
        header = ["true", "predicted", "pixels" if report.metric == "mIoU" else "images", "% of the true class"]
        parts += [html_note("The most frequent mistakes:"), html_table(header, rows, box="wide heads")] if rows else []
    return parts


def _features(report: Report) -> list[str]:
    if not report.features:
        return []
    note = "The three largest principal components of each block's feature maps, as red, green and blue."
    return [html_note(note), *_named(report.features)]


def _named(pictures: Sequence[tuple[str, Figure | bytes]]) -> list[str]:
    """Pictures below their names."""
    return [f"<p>{html.escape(name)}</p>\n{_picture(name, picture)}" for name, picture in pictures]


def _timing(report: Report) -> list[str]:
    if not report.timing:
        return []
    total = sum(report.timing.values())
    rows = [
        [name, f"{seconds:.1f}", f"{100 * seconds / total:.1f}" if total else "–"]
        for name, seconds in [*report.timing.items(), ("all", total)]
    ]
    return [html_table(["phase", "seconds", "share in %"], rows, {len(rows) - 1: "mean"})]


def _body(report: Report) -> str:
    groups = mean_and_std(report.results)
    few = any(group.spec.subset for group in groups)
    there = bool(groups)  # Of heads that all diverged nothing can be compared.
    of_whom = f" ({best_head(report.results).spec.encoder})" if there and report.several_encoders else ""
    config = html_details("the whole config", f"<pre>{html.escape(report.config)}</pre>") if report.config else ""
    facts = html_facts(report.facts, report.commands) if report.facts or report.commands else ""
    return "".join(
        [
            _headline(report),
            _section("Chosen heads on other images", *reported_table(report.reported, report.results, report.metric)),
            _section(f"Best head per block{_ON}", *(best_table(report.results, report.metric) if there else [])),
            _section(f"Repeated heads{_ON}", *repeats_table(report.results, report.metric)),
            _section(f"Blocks and learning rates{_ON}", *(_curves(report) if there else [])),
            _section(f"Classes{_ON}", *(_per_class(report) if there else [])),
            _section(f"Confusion of the best head{of_whom}, in % of each true class{_ON}", *_confusion(report)),
            _section(f"Examples{_ON}", *_named(report.pictures)),
            _section("Features as colours", *_features(report)),
            _section(
                f"Few images{_ON}", _picture("score by images", draw_few_shot(groups, report.metric)) if few else ""
            ),
            _section("Time", *_timing(report)),
            _section(f"All heads{_ON}", all_heads_table(report.results)),
            _section("To repeat it", facts, config),
        ]
    )


def write_report(path: Path, report: Report) -> None:
    """Write a study's page as one HTML file that needs no other file and no network.

    Args:
        path: File to write; it is whole or not there.
        report: What the page says.

    Raises:
        ValueError: There is no head, or a head or the confusion matrix has another number of classes.
    """
    page = html_page(report.title, _body(report), _STYLE)
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
