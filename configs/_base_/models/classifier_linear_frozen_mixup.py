# Images are mixed in training. The official code does so for its probes, too: MIXUP, CUTMIX and LABEL_SMOOTHING of its
# config.py are not overridden there. Source: OpenGVLab/InternVL classification/config.py and main.py.
_base_ = "./classifier_linear_frozen.py"
model = dict(
    data_preprocessor=dict(num_classes=1000),  # Of mixed labels; as many as the head has.
    head=dict(loss=dict(type="LabelSmoothLoss", label_smooth_val=0.1, mode="original")),
    train_cfg=dict(augments=[dict(type="Mixup", alpha=0.8), dict(type="CutMix", alpha=1.0)]),
)
