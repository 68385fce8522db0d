# Pascal VOC 2012 with the masks of SBD for training (SegmentationClassAug), 21 classes with background.
# Laid out as in MMSegmentation's guide.
_base_ = "./504x504.py"
data_root = "data/VOCdevkit/VOC2012"
masks = dict(img_path="JPEGImages", seg_map_path="SegmentationClass")
more_masks = dict(img_path="JPEGImages", seg_map_path="SegmentationClassAug")
voc = dict(type="PascalVOCDataset", data_root=data_root)
lists = "ImageSets/Segmentation/"
train_sets = [
    dict(**voc, data_prefix=masks, ann_file=lists + "train.txt", pipeline={{_base_.train_pipeline}}),
    dict(**voc, data_prefix=more_masks, ann_file=lists + "aug.txt", pipeline={{_base_.train_pipeline}}),
]
val = dict(**voc, data_prefix=masks, ann_file=lists + "val.txt")
train_dataloader = dict(dataset=dict(_delete_=True, type="ConcatDataset", datasets=train_sets))
val_dataloader = dict(dataset=val)
test_dataloader = dict(dataset=val)
