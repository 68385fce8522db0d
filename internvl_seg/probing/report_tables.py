"""Tables of a study's heads: what they differ in, and how they scored."""

from collections.abc import Mapping, Sequence

from ..visualization.probe_figures import name_blocks, name_kind
from ..visualization.results_page import html_details, html_note, html_table
from .head_spec import HeadResult, HeadSpec, Subset
from .selection import Reported
from .summary import best_by_blocks, best_by_encoder, best_head, mean_and_std, score_of

_REPEATS_SHOWN = 15


def _head(spec: HeadSpec) -> str:
    parts = [name_kind(spec)]
    parts += [f"k = {spec.neighbours}"] * (spec.kind == "knn") + [f"{spec.channels} channels"] * (spec.channels > 0)
    return ", ".join(parts)


def _images(subset: Subset | None) -> str:
    if subset is None:
        return "all"
    return f"{100 * subset.fraction:g} %" if subset.fraction else f"{subset.per_class} a class"


def settings_of(spec: HeadSpec) -> dict[str, str]:
    """A head's settings for people, by name; without its seed."""
    return {
        "encoder": spec.encoder,
        "blocks": name_blocks(spec.blocks),
        "head": _head(spec),
        "batch norm": "yes" if spec.batch_norm else "no",
        "lr": f"{spec.lr:g}" if spec.lr else "–",
        "weight decay": f"{spec.weight_decay:g}",
        "training images": _images(spec.subset),
    }


def _compare(specs: Sequence[HeadSpec], scores: Sequence[Mapping[str, str]]) -> tuple[str, list[str], list[list[str]]]:
    """What heads differ in, beside their scores.

    Args:
        specs: Heads.
        scores: What is told of each, by the column's title.

    Returns:
        A note of what all heads have in common, the titles of columns and the rows. Scores follow the blocks and the
        amount of images, where a narrow page still shows them.
    """
    settings = [settings_of(spec) for spec in specs]
    common = [name for name in settings[0] if name != "blocks" and len({one[name] for one in settings}) == 1]
    note = "; ".join(f"{name} {settings[0][name]}" for name in common)
    before = [name for name in ("encoder", "blocks", "training images") if name not in common]
    after = [name for name in settings[0] if name not in (*common, *before)]
    rows = [
        [*(own[name] for name in before), *told.values(), *(own[name] for name in after)]
        for own, told in zip(settings, scores, strict=True)
    ]
    return html_note(f"In common: {note}.") if note else "", [*before, *scores[0], *after], rows


def best_table(results: Sequence[HeadResult], metric: str) -> list[str]:
    """The best head of each block, or set of blocks, in HTML."""
    best, found = best_head(results), best_by_blocks(results)
    scores = [
        {
            f"{metric} in %": f"{score_of(one):.2f}",
            "below the best": f"{score_of(best) - score_of(one):.2f}",
            "seed": str(one.spec.seed),
        }
        for one in found
    ]
    note, header, rows = _compare([one.spec for one in found], scores)
    marked = {i: "best" for i, one in enumerate(found) if one.spec == best.spec}
    return [note, html_table(header, rows, marked, "wide heads")]


def reported_table(reported: Mapping[str, Reported | None], results: Sequence[HeadResult], metric: str) -> list[str]:
    """The chosen head of every encoder on the images that it was chosen on and on others, in HTML; often nothing."""
    best = best_by_encoder(results)
    rows = []
    for encoder, one in reported.items():
        if not encoder:
            continue
        other = "–" if one is None else f"{one.score:.2f}"
        where = "its head is in no file (k-NN)" if one is None else one.images
        rows.append([encoder, best[encoder].spec.name, f"{score_of(best[encoder]):.2f}", other, where])
    if not rows:
        return []
    columns = (f"{metric} on validation in %", f"{metric} on other images in %")
    header = ["encoder", "best head on validation", *columns, "these other images"]
    return [html_table(header, rows, box="wide heads")]


def repeats_table(results: Sequence[HeadResult], metric: str) -> list[str]:
    """Mean ± std of heads that differ in their seed, or in the draw of their images, alone, in HTML; often nothing."""
    groups = sorted((one for one in mean_and_std(results) if one.n + one.diverged > 1), key=lambda one: -one.mean)
    if not groups:
        return []
    scores = [
        {
            f"{metric} in %, mean ± std": str(one),
            "lowest": f"{min(one.scores):.2f}",
            "highest": f"{max(one.scores):.2f}",
            "n": str(one.n),
        }
        for one in groups
    ]
    what = "Heads that differ in their seed, or in the draw of their images, alone; std is that of a sample."
    note, header, rows = _compare([one.spec for one in groups], scores)
    parts = [html_note(what), note, html_table(header, rows[:_REPEATS_SHOWN], box="wide heads")]
    if more := rows[_REPEATS_SHOWN:]:
        parts.append(html_details(f"{len(more)} more", html_table(header, more, box="scroll heads")))
    return parts


def all_heads_table(results: Sequence[HeadResult]) -> str:
    """Every head, the best first and those that diverged last, with the columns that say something, in HTML."""
    rows = [one.row() for one in sorted(results, key=score_of, reverse=True)]
    more = ("loss", "gradient_norm", "checkpoint", "config")
    shown = ["score", "name", *(name for name in more if any(row[name] is not None for row in rows))]

    def text(name: str, value: object) -> str:
        if isinstance(value, float):
            return f"{value:.2f}" if name == "score" else f"{value:.4g}"
        if value is None:
            return "diverged" if name == "score" else ""
        return str(value)

    table = html_table(
        [name.replace("_", " ") for name in shown],
        [[text(name, row[name]) for name in shown] for row in rows],
        box="scroll heads",
    )
    return html_details(f"all {len(rows)} heads", table)
