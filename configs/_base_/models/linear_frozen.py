# Linear probing: BatchNorm and a 1x1 convolution on one map of a frozen encoder.
data_preprocessor = dict(
    type="SegDataPreProcessor",
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
)
model = dict(
    type="StreamingEncoderDecoder",
    data_preprocessor=data_preprocessor,
    backbone=dict(type="InternViT", frozen=True, dtype="bfloat16"),
    decode_head=dict(type="LinearHead", loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0)),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
