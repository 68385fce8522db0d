"""One HTML file that says what was run, how it scored and how it looks."""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; }
th, td { padding: .35rem .8rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr.mean td { font-weight: 600; border-top: 2px solid #888; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; } dt { color: #666; } dd { margin: 0; }
dd { overflow-wrap: anywhere; } dd code { font-size: .85rem; white-space: pre-wrap; }
figure { margin: 1.5rem 0; } img { width: 100%; height: auto; }
"""


@dataclass(frozen=True)
class ScoreTable:
    """IoU of every class, a column per model.

    Attributes:
        classes: Names, C of them.
        columns: IoU in percent, (C,), by the model's name; NaN where a class does not occur.
    """

    classes: Sequence[str]
    columns: Mapping[str, NDArray[np.float64]]

    def mean_iou(self) -> dict[str, float]:
        """The mIoU of every column, in percent, over the classes that occur."""
        return {name: float(np.nanmean(iou)) for name, iou in self.columns.items()}

    def header(self) -> list[str]:
        """Titles of the columns, that of the class first."""
        return ["IoU in %", *self.columns]

    def rows(self) -> list[list[str]]:
        """A row of text per class, and the mIoU last."""
        values = np.column_stack([*self.columns.values()])
        values = np.vstack([values, [*self.mean_iou().values()]])
        return [
            [name, *("–" if np.isnan(value) else f"{value:.1f}" for value in row)]
            for name, row in zip([*self.classes, "mIoU"], values, strict=True)
        ]

    def markdown(self) -> str:
        """The table in Markdown, ending in a newline."""
        rule = [":--", *["--:"] * len(self.columns)]
        lines = [self.header(), rule, *self.rows()]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def html(self) -> str:
        """The table in HTML."""
        return html_table(self.header(), self.rows(), classes={len(self.classes): "mean"})


def html_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], classes: Mapping[int, str] | None = None, box: str = "wide"
) -> str:
    """A table in HTML, in a box that scrolls if the table is wider than the page.

    Args:
        header: Titles of the columns, as text.
        rows: Cells of every row, as text.
        classes: CSS classes of rows, by their index.
        box: CSS classes of the box.
    """

    def row(cells: Sequence[str], tag: str, style: str = "") -> str:
        attribute = f' class="{style}"' if style else ""
        return f"<tr{attribute}>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>\n"

    styles = classes or {}
    lines = [row(header, "th"), *(row(cells, "td", styles.get(i, "")) for i, cells in enumerate(rows))]
    return f'<div class="{box}"><table>\n{"".join(lines)}</table></div>'


def html_facts(facts: Mapping[str, str], commands: Sequence[str]) -> str:
    """A list of facts by their name, and of commands, in HTML."""
    described = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>\n" for name, value in facts.items())
    typed = "".join(f"<dt>command</dt><dd><code>{html.escape(command)}</code></dd>\n" for command in commands)
    return f"<dl>\n{described}{typed}</dl>"


def html_note(text: str) -> str:
    """A remark in HTML."""
    return f'<p class="note">{html.escape(text)}</p>'


def html_details(summary: str, content: str) -> str:
    """HTML that is shown once its summary, which is text, is clicked."""
    return f"<details><summary>{html.escape(summary)}</summary>\n{content}\n</details>"


def html_picture(name: str, png: bytes) -> str:
    """A picture in HTML that holds the bytes of its PNG file, and its name for those who cannot see it."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return f'<figure><img alt="{html.escape(name)}" src="{source}"></figure>'


def html_page(title: str, body: str, style: str = STYLE) -> str:
    """A page in HTML under a heading.

    Args:
        title: Heading, as text.
        body: What follows it, as HTML that ends in a newline.
        style: CSS.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{style}</style>
</head>
<body>
<h1>{html.escape(title)}</h1>
{body}</body>
</html>
"""


def write_results_page(
    path: Path,
    title: str,
    facts: Mapping[str, str],
    commands: Sequence[str],
    scores: ScoreTable,
    pictures: Sequence[Path],
) -> None:
    """Write a results page that needs no other file and no network.

    Args:
        path: HTML file to write.
        title: Heading.
        facts: What was run, by name: config, seed, seconds, versions.
        commands: What was typed, in order.
        scores: The table.
        pictures: PNG files to embed, each under its name.
    """
    figures = "".join(f"{html_picture(picture.stem, picture.read_bytes())}\n" for picture in pictures)
    body = f"""{scores.html()}
<h2>What was run</h2>
{html_facts(facts, commands)}
<h2>Test images</h2>
{figures}"""
    path.write_text(html_page(title, body), encoding="utf-8")
