"""A small export of every kind: as the tool lays it out, with the masks that the tool itself draws of it."""

from . import further_cases, plain_cases, raster_cases, shape_cases
from .case import Case

CASES: tuple[Case, ...] = (*shape_cases.CASES, *raster_cases.CASES, *plain_cases.CASES, *further_cases.CASES)
