"""XML of strangers, without what may make a small file a large one."""

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from .export import SourceError


def read_xml(path: Path) -> Element:
    """The root of an XML file.

    Entities, which can be nested until they fill the memory or name other files, are declared in a document type; no
    labelling tool writes one, so that every file that has one is refused.

    Raises:
        SourceError: It is no XML, or has a document type.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data

    def refuse(*_: object) -> None:
        raise SourceError(
            f"{path} has a document type (<!DOCTYPE), which may hold entities that fill the memory; labelling tools "
            "write none. Take that part out if you know where the file comes from."
        )

    parser.StartDoctypeDeclHandler = refuse
    try:
        with path.open("rb") as file:
            parser.ParseFile(file)
        return builder.close()
    except (expat.ExpatError, AssertionError, LookupError, ValueError) as error:
        raise SourceError(f"{path} is no XML: {error}. Export it again.") from error
