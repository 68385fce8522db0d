# The linear probe with low-rank adapters in the encoder, for the same 1000 images.
# In fp32: gradients of bf16 are slow on CPUs without AVX-512. Rank and learning rate were chosen on the validation images.
_base_ = "./vit_s_linear_frozen_camvid-378x504.py"
model = dict(backbone=dict(lora=dict(rank=8), dtype="float32"))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"lora_": dict(lr_mult=0.1)}))
default_hooks = dict(checkpoint=dict(interval=100))
