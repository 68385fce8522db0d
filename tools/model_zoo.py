"""Write docs/model_zoo.md from configs/metafile.yml, or check both: python tools/model_zoo.py [--check]."""

import argparse
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "model_zoo.md"
HEADER = """# Model zoo

Made from [configs/metafile.yml](../configs/metafile.yml) by `python tools/model_zoo.py`. Numbers are mIoU in percent
on the validation (or test) images, at a single scale. *Published* is what the source says of the official code;
*measured* is what the config itself reached here, empty until it was run to its end.
"""
COLUMNS = "| encoder | head | protocol | published | measured | config |\n|---|---|---|--:|--:|---|\n"
HEADS = {"linear": "LinearHead", "linear-4blocks": "LinearHead", "upernet": "UPerHead", "fpn": "FPNHead"}
PROTOCOLS = {"frozen": "encoder frozen", "full": "all tuned", "scratch": "from scratch", "lora": "encoder with LoRA"}


class Title(NamedTuple):
    """What a config's file name says."""

    encoder: str
    head: str
    protocol: str

    @classmethod
    def of(cls, name: str) -> "Title":
        """Read ``<encoder>_<head>_<protocol>_<data set>-<height>x<width>``."""
        protocols = "|".join([*PROTOCOLS, r"few-shot-1of\d+"])
        match = re.fullmatch(rf"(.+)_({'|'.join(HEADS)})_({protocols})_[\w-]+-\d+x\d+", name)
        if match is None:
            raise ValueError(f"{name}: not named <encoder>_<head>_<protocol>_<data set>-<height>x<width>.")
        return cls(*match.groups())

    def problems(self, config: Config) -> list[str]:
        """What of it the config contradicts."""
        backbone, head = config.model.backbone, config.model.decode_head
        source = (backbone.get("init_cfg") or {}).get("checkpoint", "")
        found = [] if head.type == HEADS[self.head] else [f"decode_head is {head.type}"]
        if self.encoder.startswith("internvit_") and self.protocol != "scratch" and source != self.encoder:
            found.append(f"the encoder is {source!r}")
        if backbone.get("frozen", False) != (self.protocol in ("frozen", "lora")):
            found.append(f"frozen is {backbone.get('frozen', False)}")
        if ("lora" in backbone) != (self.protocol == "lora"):
            found.append(f"lora is {backbone.get('lora')}")
        return found


def problems(models: list[dict[str, Any]]) -> list[str]:
    """Configs without an entry, entries without a config, and names that say something else than the config."""
    files = {p.relative_to(ROOT).as_posix() for p in (ROOT / "configs").rglob("*.py") if "_base_" not in p.parts}
    entries = [model["Config"] for model in models]
    found = [f"{file} has no entry in configs/metafile.yml." for file in sorted(files - set(entries))]
    found += [f"configs/metafile.yml names {file}, which is not there." for file in sorted(set(entries) - files)]
    found += [f"{file} has more than one entry." for file in sorted(files) if entries.count(file) > 1]
    for model in models:
        if model["Config"] in files:
            if model["Name"] != Path(model["Config"]).stem:
                found.append(f"{model['Name']} is not the name of {model['Config']}.")
            contradicted = Title.of(Path(model["Config"]).stem).problems(Config.fromfile(ROOT / model["Config"]))
            found += [f"{model['Config']}: {problem}, which its name does not say." for problem in contradicted]
    return found


def page(models: list[dict[str, Any]]) -> str:
    """The page, a table for each data set in the order of the entries."""
    lines = [HEADER]
    dataset = None
    for model in models:
        (result,) = model["Results"]
        if result["Dataset"] != dataset:
            dataset = result["Dataset"]
            lines.append(f"\n## {dataset[0].upper() + dataset[1:]}\n\n")
            lines.append(
                "| encoder | head | protocol | published | measured here | config |\n|---|---|---|--:|--:|---|\n"
            )
        title = Title.of(model["Name"])
        url, _, place = result.get("Source", "").partition(", ")
        hover = f' "{place}"' if place else ""
        published = f"[{result['Metrics']['mIoU']}]({url}{hover})" if url else ""
        measured = result.get("Measured", {}).get("mIoU", "")
        protocol = PROTOCOLS.get(title.protocol) or title.protocol.replace("few-shot-1of", "few-shot, all tuned, 1/")
        config = f"[{Path(model['Config']).stem}](../{model['Config']})"
        lines.append(f"| {title.encoder} | {title.head} | {protocol} | {published} | {measured} | {config} |\n")
    return "".join(lines)


def main() -> None:
    """Parse the command line, then write the page or say what is wrong."""
    parser = argparse.ArgumentParser(description="Write docs/model_zoo.md from configs/metafile.yml.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if an entry or the page is wrong")
    check = parser.parse_args().check
    models = yaml.safe_load((ROOT / "configs/metafile.yml").read_text())["Models"]
    found = problems(models)
    if check and page(models) != PAGE.read_text():
        found.append("docs/model_zoo.md is old: python tools/model_zoo.py")
    if found:
        sys.exit("\n".join(found))
    if not check:
        PAGE.write_text(page(models))


if __name__ == "__main__":
    main()
