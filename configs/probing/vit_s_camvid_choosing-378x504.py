# The study of vit_s_camvid-378x504.py, but that a head is chosen on images that are neither trained on nor reported on:
# of the training images, the video 0006R0 is left out to choose on, and the validation images score what was chosen.
# The images are those of SegNet's tutorial, sorted by name: 62 frames of 0001TP, 101 of 0006R0 and 204 of 0016E5.
_base_ = "./vit_s_camvid-378x504.py"
video = range(62, 163)
train_dataloader = dict(dataset=dict(indices=[*range(62), *range(163, 367)]))
val_dataloader = dict(
    dataset=dict(indices=[*video], data_prefix=dict(img_path="images/train", seg_map_path="annotations/train"))
)
test_dataloader = dict(
    dataset=dict(data_prefix=dict(img_path="images/val", seg_map_path="annotations/val")),
)
probe = dict(select=dict(on="val"))
