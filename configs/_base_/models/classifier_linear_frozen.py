# Linear probing of images: CLS beside the mean of the patches, BatchNorm, linear layer; on a frozen encoder's last block.
model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(
        type="ClsDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(type="InternViT", frozen=True, dtype="bfloat16", out_type="raw"),
    head=dict(
        type="InternViTClsHead",
        pooling="cls_patch_concat",
        loss=dict(type="CrossEntropyLoss", loss_weight=1.0),
    ),
)
