# ADE20K (https://groups.csail.mit.edu/vision/datasets/ADE20K/), 150 classes; label 0, other, is ignored.
_base_ = "./504x504.py"
data_root = "data/ade/ADEChallengeData2016"
train = dict(
    type="ADE20KDataset",
    data_root=data_root,
    data_prefix=dict(img_path="images/training", seg_map_path="annotations/training"),
)
val = dict(
    type="ADE20KDataset",
    data_root=data_root,
    data_prefix=dict(img_path="images/validation", seg_map_path="annotations/validation"),
)
train_dataloader = dict(dataset=train)
val_dataloader = dict(dataset=val)
test_dataloader = dict(dataset=val)
