"""Write docs/model_zoo.md from configs/metafile.yml, or check both: python tools/model_zoo.py [--check]."""

import os
import signal

if __name__ == "__main__":  # Until all is imported, which takes seconds; then run_tool says how it ends.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"\nInterrupted.\n"), os._exit(130)))

import argparse
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from mmengine.config import Config

from internvl_seg.common.tools import run_tool
from internvl_seg.training.config import is_segmentation

ROOT = Path(__file__).resolve().parents[1]
METAFILE = "configs/metafile.yml"
PAGE = "docs/model_zoo.md"
HEADER = """# Model zoo

Made from [configs/metafile.yml](../configs/metafile.yml) by `python tools/model_zoo.py`. Numbers are in percent on
the validation (or test) images: mIoU at a single scale, or how often the likeliest class (top-1) is the right one.
*Published* is what the source says of the official code; *measured* is what the config itself reached here, empty until
it was run to its end.
"""
COLUMNS = """
| encoder | head | protocol | size | published {metric} | source | measured {metric} | config |
|---|---|---|--:|--:|---|--:|---|
"""
# By the task: the metric's key in an entry, and what a reader calls it.
METRICS = {"Semantic Segmentation": ("mIoU", "mIoU"), "Image Classification": ("Top 1 Accuracy", "top-1")}
# What a file name's head is called in a config; of images with its pooling.
HEADS = {
    "linear": ("LinearHead", "InternViTClsHead with cls_patch_concat"),
    "linear-4blocks": ("LinearHead",),
    "upernet": ("UPerHead",),
    "fpn": ("FPNHead",),
    "attention-pooling": ("InternViTClsHead with attention_pooling",),
}
PROTOCOLS = {"frozen": "encoder frozen", "full": "all tuned", "scratch": "from scratch", "lora": "encoder with LoRA"}
# By the type of the test set: how a file name calls it, and how a reader does.
DATASETS = {
    "ADE20KDataset": ("ade20k", "ADE20K"),
    "COCOStuffDataset": ("coco_stuff164k", "COCO-Stuff-164K"),
    "CityscapesDataset": ("cityscapes", "Cityscapes"),
    "PascalVOCDataset": ("voc", "Pascal VOC 2012"),
    "FolderDataset": ("folder", "a folder of your own"),
    "CamVidDataset": ("camvid", "CamVid"),
    "HGSCNestDataset": ("hgsc_nest", "HGSC nest"),
    "ImageNetVariant": ("imagenet", "ImageNet-1K"),
    "ImageFolder": ("imagefolder", "a folder of images in class folders"),
}


class Title(NamedTuple):
    """What a config's file name says."""

    encoder: str
    head: str
    protocol: str
    dataset: str
    size: str

    @classmethod
    def of(cls, name: str) -> "Title":
        """Read ``<encoder>_<head>_<protocol>_<data set>-<height>x<width>``."""
        protocols = "|".join([*PROTOCOLS, r"few-shot-1of\d+"])
        match = re.fullmatch(rf"(.+)_({'|'.join(HEADS)})_({protocols})_(\w+)-(\d+x\d+)", name)
        if match is None:
            raise ValueError(f"{name}: not named <encoder>_<head>_<protocol>_<data set>-<height>x<width>.")
        return cls(*match.groups())

    def contradictions(self, config: Config) -> list[str]:
        """What of it the config says otherwise."""
        backbone = config.model.backbone
        head = config.model.decode_head if is_segmentation(config) else config.model.head
        kind = f"{head.type} with {head.pooling}" if "pooling" in head else head.type
        source = (backbone.get("init_cfg") or {}).get("checkpoint", "")
        dataset, _ = DATASETS[test_set(config).type]
        size = "x".join(map(str, crop_size(config)))
        found = [] if kind in HEADS[self.head] else [f"the head is {kind}"]
        if self.encoder.startswith("internvit_") and self.protocol != "scratch" and source != self.encoder:
            found.append(f"the encoder is {source!r}")
        if backbone.get("frozen", False) != (self.protocol in ("frozen", "lora")):
            found.append(f"frozen is {backbone.get('frozen', False)}")
        if ("lora" in backbone) != (self.protocol == "lora"):
            found.append(f"lora is {backbone.get('lora')}")
        # Large pictures of a folder at their native resolution are read otherwise.
        if self.dataset not in (dataset, f"{dataset}_tiles"):
            found.append(f"the test set is {dataset}")
        if size != self.size:
            found.append(f"crops are {size}")
        return found


def test_set(config: Config) -> Any:
    """The data set that a config is tested on; of several the first."""
    dataset = config.test_dataloader.dataset
    return dataset.get("datasets", [dataset])[0]


def crop_size(config: Config) -> tuple[int, int]:
    """Height and width that a model is made for."""
    if is_segmentation(config):
        height, width = config.model.data_preprocessor.size
    else:
        (height,) = (t.crop_size for t in test_set(config).pipeline if t.type == "CenterCrop")
        width = height
    return height, width


def number(result: dict[str, Any], column: str) -> Any:
    """An entry's number in the metric of its task, '' if there is none.

    Args:
        result: The entry's result.
        column: 'Metrics' for the published one, or 'Measured'.
    """
    key, _ = METRICS[result["Task"]]
    return result.get(column, {}).get(key, "")


def published(result: dict[str, Any]) -> str:
    """The sentence on an entry's result that stands in the first line of its config, '' if none is published."""
    _, metric = METRICS[result["Task"]]
    return f"Published: {number(result, 'Metrics')} {metric} ({citation(result)})." if "Metrics" in result else ""


def citation(result: dict[str, Any]) -> str:
    """``https://arxiv.org/abs/2412.05271, table 15`` as ``arXiv 2412.05271, table 15``."""
    return str(result["Source"]).replace("https://arxiv.org/abs/", "arXiv ")


def problems(root: Path, models: list[dict[str, Any]]) -> list[str]:
    """What is wrong with the entries: a config without one, one without a config, or the two say different things."""
    # Studies of many heads are no models.
    names = [path.relative_to(root) for path in (root / "configs").rglob("*.py")]
    files = {name.as_posix() for name in names if not {"_base_", "probing"} & {*name.parts}}
    entries = [model["Config"] for model in models]
    found = [f"{file} has no entry in {METAFILE}." for file in sorted(files - set(entries))]
    found += [f"{METAFILE} names {file}, which is not there." for file in sorted(set(entries) - files)]
    found += [f"{file} has more than one entry in {METAFILE}." for file in sorted(files) if entries.count(file) > 1]
    for model in models:
        if model["Config"] in files:
            found += disagreements(root, model)
    return found


def disagreements(root: Path, model: dict[str, Any]) -> list[str]:
    """What an entry, its config and the config's name say differently."""
    file, (result,) = model["Config"], model["Results"]
    found = [] if model["Name"] == Path(file).stem else [f"{model['Name']} is not the name of {file}."]
    config, first_line = Config.fromfile(root / file), (root / file).read_text().partition("\n")[0]
    try:
        contradictions = Title.of(Path(file).stem).contradictions(config)
    except ValueError as error:
        return [*found, str(error)]
    found += [f"{file}: {contradiction}, its name says otherwise." for contradiction in contradictions]
    _, dataset = DATASETS[test_set(config).type]
    if result["Dataset"] != dataset:
        found.append(f"{file} is tested on {dataset}, {METAFILE} says {result['Dataset']}.")
    task = "Semantic Segmentation" if is_segmentation(config) else "Image Classification"
    if result["Task"] != task:
        return [*found, f"{file} is a model for {task}, {METAFILE} says {result['Task']}."]
    said = re.search("Published: .*|$", first_line)[0]
    if said != published(result):
        found.append(f"{file} says {said!r} in its first line, {METAFILE} {published(result)!r}.")
    # Tests print these beside their own.
    known, *_ = config.test_evaluator.get("published", {}).get("imagenet", ("",))
    if known and known != number(result, "Metrics"):
        found.append(f"{file} says {known} in test_evaluator.published, {METAFILE} {number(result, 'Metrics')!r}.")
    return found


def page(models: list[dict[str, Any]]) -> str:
    """The page, a table for each data set in the order of the entries."""
    lines = [HEADER]
    dataset = None
    for model in models:
        (result,) = model["Results"]
        if result["Dataset"] != dataset:
            dataset = result["Dataset"]
            _, metric = METRICS[result["Task"]]
            lines.append(f"\n## {dataset[0].upper() + dataset[1:]}\n{COLUMNS.format(metric=metric)}")
        title = Title.of(model["Name"])
        protocol = PROTOCOLS.get(title.protocol) or title.protocol.replace("few-shot-1of", "few-shot, all tuned, 1/")
        source = ""
        if "Metrics" in result:
            source = f"[{citation(result).removeprefix('https://')}]({result['Source'].partition(',')[0]})"
        numbers = (number(result, "Metrics"), source, number(result, "Measured"))
        config = f"[{Path(model['Config']).stem}](../{model['Config']})"
        lines.append("| " + " | ".join(map(str, (*title[:2], protocol, title.size, *numbers, config))) + " |\n")
    return "".join(lines)


def main(root: Path = ROOT) -> None:
    """Parse the command line, then write the page or say what is wrong."""
    parser = argparse.ArgumentParser(description=f"Write {PAGE} from {METAFILE}.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if an entry or the page is wrong")
    check = parser.parse_args().check
    models = yaml.safe_load((root / METAFILE).read_text())["Models"]
    if found := problems(root, models):
        sys.exit("\n".join(found))
    file = root / PAGE
    if check and (not file.is_file() or file.read_text() != page(models)):
        sys.exit(f"{PAGE} is not what {METAFILE} says: python tools/model_zoo.py")
    if not check:
        temporary = file.with_suffix(".tmp")
        temporary.write_text(page(models))
        temporary.replace(file)


if __name__ == "__main__":
    run_tool(main)
