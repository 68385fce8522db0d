# COCO-Stuff-164K, 171 classes, laid out as in MMSegmentation's guide (masks end in _labelTrainIds.png).
_base_ = "./504x504.py"
data_root = "data/coco_stuff164k"
train = dict(
    type="COCOStuffDataset",
    data_root=data_root,
    data_prefix=dict(img_path="images/train2017", seg_map_path="annotations/train2017"),
)
val = dict(
    type="COCOStuffDataset",
    data_root=data_root,
    data_prefix=dict(img_path="images/val2017", seg_map_path="annotations/val2017"),
)
train_dataloader = dict(dataset=train)
val_dataloader = dict(dataset=val)
test_dataloader = dict(dataset=val)
