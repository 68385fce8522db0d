"""Errors whose words stay their own on the way out of a loader's worker."""


class OwnWordsError(ValueError):
    """An error about data.

    PyTorch raises it anew in the main process, with the worker's traceback as its message; the message is taken out of
    it again.

    Args:
        message: What was found, where, and what to do.
    """

    def __init__(self, message: str) -> None:
        kind = type(self)
        if message.startswith("Caught "):
            message = message.rpartition(f"{kind.__module__}.{kind.__qualname__}: ")[2].rstrip()
        super().__init__(message)
