"""What can go wrong with a study, one class each."""


class ProbeError(RuntimeError):
    """Base of all errors of a study; what was written before stays and is gone on from."""


class StateError(ProbeError):
    """What a killed study left is damaged, or of another study."""


class DivergedError(ProbeError):
    """Every head of a study diverged: none has a score."""


class StoreError(ProbeError):
    """A feature store cannot be written or read."""


class StoreMismatchError(StoreError):
    """A store holds other features than are asked for; the message names what differs."""


class StoreSizeError(StoreError):
    """The disk has no room for the store."""
