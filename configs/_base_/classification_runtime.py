# The runtime of image classification, with MMPretrain's models and data sets.
_base_ = "./default_runtime.py"
default_scope = "mmpretrain"
visualizer = dict(
    _delete_=True, type="UniversalVisualizer", vis_backends=[dict(type="LocalVisBackend")], name="visualizer"
)
