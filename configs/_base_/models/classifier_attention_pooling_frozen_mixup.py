# Attention pooling in place of CLS and mean; as many heads as the encoder has.
_base_ = "./classifier_linear_frozen_mixup.py"
model = dict(head=dict(pooling="attention_pooling"))
