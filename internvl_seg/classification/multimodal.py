"""MMPretrain without its multimodal models, where these cannot be imported.

MMPretrain imports them as soon as pycocotools and transformers are installed, and fails with a ``TypeError`` if that is
transformers 5, from which they take classes that are no longer there. Nothing here uses them; to be imported before
MMPretrain's models, which then have placeholders for them.
"""

from mmpretrain.utils import dependency

if dependency.WITH_MULTIMODAL and dependency.satisfy_requirement("transformers>=5"):
    dependency.WITH_MULTIMODAL = False
