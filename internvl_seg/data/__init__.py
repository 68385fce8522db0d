"""Datasets for MMSegmentation, and the demo's images and baselines."""

from .datasets import CamVidDataset, HGSCNestDataset
from .folder import FolderDataset
from .images import LoadImageFromFile
from .masks import LoadAnnotations

__all__ = ["CamVidDataset", "FolderDataset", "HGSCNestDataset", "LoadAnnotations", "LoadImageFromFile"]
