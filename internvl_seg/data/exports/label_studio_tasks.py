"""Label Studio's tasks: which annotation of a task counts, and which of its results is for which picture."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from .export import SourceError
from .fields import as_list, as_mapping, first_upper
from .find_pictures import uploaded_names
from .notes import Notes
from .picture_index import is_picture

# Keys of a JSON-MIN record that are of the task and its annotation.
_OF_RECORDS = frozenset({"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"})


class Task(NamedTuple):
    """A task with what people made of it.

    Attributes:
        where: For messages: "task 7 of export.json".
        data: What is labelled: addresses of pictures, by the names of the labelling configuration.
        annotations: With a list of ``result`` each, in the export's order.
    """

    where: str
    data: dict[str, Any]
    annotations: list[dict[str, Any]]


def is_full(found: Any) -> bool:
    """Whether a JSON file holds tasks with all that Label Studio knows of them."""
    first = found[0] if isinstance(found, list) and found else found
    if not isinstance(first, dict):
        return False
    if isinstance(first.get("task"), dict) and "result" in first:
        return isinstance(first["task"].get("data"), dict)
    return isinstance(first.get("data"), dict) and any(
        isinstance(first.get(key), list) for key in ("annotations", "completions", "predictions")
    )


def is_min(found: Any) -> bool:
    """Whether a JSON file is of the kind that Label Studio calls JSON-MIN."""
    first = found[0] if isinstance(found, list) and found else None
    return isinstance(first, dict) and {"id", "annotation_id", "annotator", "lead_time"} <= first.keys()


def tasks_of(found: Any, file: str, notes: Notes) -> Iterator[Task]:
    """The tasks of a JSON file.

    Args:
        found: What it holds.
        file: Its name, for messages.
        notes: Takes what of the tasks is no annotation.

    Raises:
        SourceError: It holds something else.
    """
    records = [as_mapping(record, f"a task of {file}") for record in (found if isinstance(found, list) else [found])]
    if is_min(found):
        yield from _tasks_of_min(records, file)
        return
    for record in records:
        if isinstance(record.get("task"), dict) and "result" in record:
            # One file for each annotation, as Label Studio writes into buckets.
            record = {**record["task"], "annotations": [{k: v for k, v in record.items() if k != "task"}]}
        where = f"task {record.get('id')} of {file}"
        annotations = record.get("annotations", record.get("completions"))
        if record.get("predictions"):
            notes.add("Predictions of models are no annotations and are left out", where)
        if record.get("drafts"):
            notes.add("Drafts, which nobody submitted, are left out", where)
        yield Task(
            where,
            as_mapping(record.get("data"), f"'data' of {where}"),
            [
                as_mapping(annotation, f"an annotation of {where}")
                for annotation in as_list([] if annotations is None else annotations, f"'annotations' of {where}")
            ],
        )


def _tasks_of_min(records: list[dict[str, Any]], file: str) -> Iterator[Task]:
    """A record is an annotation there; those of one task have its id."""
    tasks: dict[Any, Task] = {}
    for record in records:
        where = f"task {record.get('id')} of {file}"
        results = [
            {"value": value, "type": key, "to_name": None, **{k: value.get(k) for k in _OF_PICTURES if k in value}}
            for key, values in record.items()
            if key not in _OF_RECORDS and isinstance(values, list)
            for value in values
            if isinstance(value, dict)
        ]
        data = {key: value for key, value in record.items() if key not in _OF_RECORDS and _is_address(value)}
        annotation = {"result": results, "id": record.get("annotation_id"), "created_at": record.get("created_at")}
        tasks.setdefault(str(record.get("id")), Task(where, data, [])).annotations.append(annotation)
    yield from tasks.values()


_OF_PICTURES = ("original_width", "original_height", "image_rotation", "item_index")


def annotation_of(task: Task, notes: Notes) -> dict[str, Any] | None:
    """The annotation of a task that counts: one that is marked as ground truth, or else the newest.

    Those that were skipped hold what had been drawn until then, and never count.

    Returns:
        None if nobody has labelled the task.
    """
    done: list[dict[str, Any]] = []
    for annotation in task.annotations:
        if annotation.get("was_cancelled") or annotation.get("skipped"):
            notes.add("Annotations that were skipped are left out", task.where)
        else:
            done.append(annotation)
    if not done:
        return None
    if len(done) > 1:
        kind = "Annotations of tasks with more than one are left out, but those marked as ground truth or the newest"
        for _ in done[1:]:
            notes.add(kind, task.where)
    # The first of equals counts, as exports begin with the newest.
    return max(done, key=lambda one: (bool(one.get("ground_truth")), _time_of(one)))


def _time_of(annotation: dict[str, Any]) -> float:
    """Seconds; exports of old versions have numbers."""
    value = annotation.get("created_at")
    try:
        if isinstance(value, int | float):
            return float(value)
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        return moment.timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


class Labelled(NamedTuple):
    """A picture of a task.

    Attributes:
        address: As the task has it.
        results: Of the annotation that counts, those for this picture; None if nobody has labelled the task.
    """

    address: str
    results: list[dict[str, Any]] | None


def pictures_of(task: Task, annotation: dict[str, Any] | None) -> list[Labelled]:
    """The pictures of a task: one, or as many as its data and their lists have.

    Raises:
        SourceError: It cannot be told which picture a result is for.
    """
    fields = {key: value for key, value in task.data.items() if _is_address(value)}
    results = None
    if annotation is not None:
        given = annotation.get("result")
        results = [
            as_mapping(result, f"a result of {task.where}")
            for result in as_list([] if given is None else given, f"'result' of {task.where}")
        ]
    pictures = []
    for key, value in fields.items():
        mine = results
        if results is not None and len(fields) > 1:
            names = {str(result.get("to_name")) for result in results if "value" in result}
            if unknown := sorted(names - fields.keys()):
                raise SourceError(
                    f"{first_upper(task.where)} has the pictures {', '.join(fields)} and results for "
                    f"{unknown[0]!r}, so that it cannot be told which is which. Call the <Image> tags of the labelling "
                    "configuration as the data is called, or export each picture as a task of its own."
                )
            mine = [result for result in results if result.get("to_name") == key]
        if isinstance(value, str):
            pictures.append(Labelled(value, mine))
        else:
            pictures += [
                Labelled(address, None if mine is None else [one for one in mine if one.get("item_index", 0) == index])
                for index, address in enumerate(value)
            ]
    return pictures


def _is_address(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, str) and _is_address(item) for item in value)
    if not isinstance(value, str) or len(value) > 10_000:
        return False
    return any(is_picture(name) for name in uploaded_names(value))
