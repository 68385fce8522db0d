# The same with the average of the head that the official code keeps at 448 pixels.
_base_ = "./sgd_10e.py"
custom_hooks = [dict(type="TrainedEMAHook", decay=0.998)]
