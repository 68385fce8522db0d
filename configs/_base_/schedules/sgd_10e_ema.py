# The same with the average of the head that the official code keeps, but for the linear head at 224 pixels whose figures
# are published.
_base_ = "./sgd_10e.py"
custom_hooks = [dict(type="TrainedEMAHook", decay=0.998)]
