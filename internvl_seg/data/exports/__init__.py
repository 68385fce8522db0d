"""What labelling tools export, as folders of images and masks that train."""
