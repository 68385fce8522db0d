"""InternViT for dense prediction."""
