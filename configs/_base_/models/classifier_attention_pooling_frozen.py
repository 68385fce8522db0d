# Attention pooling on a frozen encoder, in place of CLS and mean; as many heads as the encoder has.
_base_ = "./classifier_linear_frozen.py"
model = dict(head=dict(pooling="attention_pooling"))
