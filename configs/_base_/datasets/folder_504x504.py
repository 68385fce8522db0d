# One's own images/{train,test} and annotations/{train,test}; classes.txt names the classes.
_base_ = "./504x504.py"
data_root = "data/folder"
train = dict(
    type="FolderDataset",
    data_root=data_root,
    data_prefix=dict(img_path="images/train", seg_map_path="annotations/train"),
)
val = dict(
    type="FolderDataset", data_root=data_root, data_prefix=dict(img_path="images/test", seg_map_path="annotations/test")
)
train_dataloader = dict(dataset=train)
val_dataloader = dict(dataset=val)
test_dataloader = dict(dataset=val)
