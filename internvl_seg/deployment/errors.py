"""What can go wrong with exported graphs."""


class ExportError(RuntimeError):
    """A model cannot be exported, or an exported file cannot be run; nothing was written."""
