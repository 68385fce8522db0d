"""The encoder as a whole: the official answers, two other implementations, any size, taps, recomputation, export."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from internvl_seg.encoder import InternViT
from internvl_seg.encoder.kernels import RUN_ANYWHERE
from internvl_seg.encoder.position import resize_pos_embed

from .conftest import randomize


class TestOfficialAnswers:
    """The golden files: what the official code gave for the same weights and the same image."""

    def test_segmentation_maps(self, golden: Callable[[str], Any], close: Callable[..., None]) -> None:
        # Stored at 42 pixels and run at 70, so the position embedding is resized on the way.
        config, _, image, expected = file = golden("official_seg_rms")
        encoder = InternViT(
            img_size=config["pretrain_size"],
            embed_dim=config["embed_dim"],
            depth=config["depth"],
            num_heads=config["num_heads"],
        )
        encoder.load_state_dict(file.encoder_state())
        with torch.no_grad():
            maps = encoder.eval().forward_intermediates(image, config["out_indices"])
        assert len(maps) == len(expected) == 4
        for index, got in enumerate(maps):
            close(got, expected[str(index)])

    @pytest.mark.parametrize("kind", ["concat", "attention_pooling", "clip_projector"])
    def test_classification_tokens(self, kind: str, golden: Callable[[str], Any], close: Callable[..., None]) -> None:
        config, _, image, expected = file = golden(f"official_cls_{kind}")
        encoder = InternViT(
            img_size=config["img_size"],
            embed_dim=config["embed_dim"],
            depth=config["depth"],
            num_heads=config["num_heads"],
        )
        encoder.load_state_dict(file.encoder_state())
        with torch.no_grad():
            close(encoder.eval().forward_features(image), expected["tokens"])


class TestSecondOpinion:
    """Implementations that others wrote, with our weights in them."""

    @pytest.mark.parametrize("size", [(42, 42), (28, 56)])
    def test_transformers(
        self, size: tuple[int, int], build: Callable[..., InternViT], architecture: dict[str, Any], close: Any
    ) -> None:
        transformers = pytest.importorskip("transformers")
        ours = build()
        config = transformers.InternVLVisionConfig(
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=128,
            image_size=[42, 42],
            patch_size=[14, 14],
            norm_type=architecture["norm"],
            attention_bias=architecture["qkv_bias"],
            use_qk_norm=architecture["qk_norm"],
        )
        theirs = transformers.InternVLVisionModel(config).eval()
        # Their final norm is Identity when they pool the mean, so last_hidden_state is what we give.
        missing, unexpected = theirs.load_state_dict(to_transformers(ours.state_dict()), strict=False)
        assert not unexpected
        assert all(name.startswith("layernorm.") for name in missing), missing
        images = torch.randn(2, 3, *size)
        with torch.no_grad():
            close(ours(images), theirs(images).last_hidden_state)

    def test_timm(self, close: Callable[..., None]) -> None:
        timm = pytest.importorskip("timm")
        theirs = timm.create_model(
            "vit_intern300m_patch14_448", img_size=42, embed_dim=32, depth=3, num_heads=2, num_classes=0
        ).eval()
        ours = InternViT(
            img_size=42, embed_dim=32, depth=3, num_heads=2, norm="layer_norm", qkv_bias=True, qk_norm=False
        ).eval()
        randomize(ours)
        theirs.load_state_dict(ours.state_dict())
        images = torch.randn(2, 3, 42, 42)
        with torch.no_grad():
            close(ours(images), theirs.forward_features(images))


def to_transformers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our names to those of transformers, whose queries, keys and values are three layers."""
    embeddings = {
        "cls_token": "embeddings.cls_token",
        "pos_embed": "embeddings.position_embeddings",
        "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
        "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    }
    parts = {
        "attn.proj": "attention.projection_layer",
        "attn.q_norm": "attention.q_norm",
        "attn.k_norm": "attention.k_norm",
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
    }
    renamed = {}
    for name, tensor in state.items():
        if name in embeddings:
            renamed[embeddings[name]] = tensor
            continue
        _, number, rest = name.split(".", 2)
        part, kind = rest.rsplit(".", 1)
        layer = f"encoder.layer.{number}"
        if part == "attn.qkv":
            for which, third in zip("qkv", tensor.chunk(3), strict=True):
                renamed[f"{layer}.attention.{which}_proj.{kind}"] = third
        elif kind == "gamma":
            renamed[f"{layer}.lambda_{part[-1]}"] = tensor
        else:
            renamed[f"{layer}.{parts[part]}.{kind}"] = tensor
    return renamed


class TestImageSizes:
    """Any height and width that the patch size divides."""

    @given(rows=st.integers(1, 6), columns=st.integers(1, 6), batch=st.integers(1, 2))
    def test_any_multiple_of_the_patch_size(
        self, rows: int, columns: int, batch: int, build: Callable[..., InternViT], close: Callable[..., None]
    ) -> None:
        encoder = build(depth=1)
        images = torch.randn(batch, 3, 14 * rows, 14 * columns)
        # The same tokens made by hand: cut, project, add the resized embedding, run the block.
        patches = images.unflatten(3, (columns, 14)).unflatten(2, (rows, 14)).permute(0, 2, 4, 1, 3, 5)
        projection = encoder.patch_embed.proj
        tokens = patches.flatten(3).flatten(1, 2) @ projection.weight.flatten(1).T + projection.bias
        tokens = torch.cat([encoder.cls_token.expand(batch, -1, -1), tokens], dim=1)
        tokens = tokens + resize_pos_embed(encoder.pos_embed, (3, 3), (rows, columns))
        with torch.no_grad():
            got = encoder.forward_features(images)
            close(got, encoder.blocks[0](tokens), 1e-4)
            (feature_map,) = encoder.forward_intermediates(images, [0])
        assert got.shape == (batch, 1 + rows * columns, 32)
        assert feature_map.shape == (batch, 32, rows, columns)
        assert torch.equal(feature_map.flatten(2).mT, got[:, 1:])

    @pytest.mark.parametrize(("height", "width"), [(42, 43), (41, 42), (13, 14), (0, 14), (14, 7)])
    def test_other_sizes_are_refused(self, height: int, width: int, build: Callable[..., InternViT]) -> None:
        encoder = build()
        images = torch.randn(1, 3, height, width)
        for run in (encoder.forward_features, lambda x: encoder.forward_intermediates(x, [0])):
            with pytest.raises(ValueError, match=rf"{height}x{width}.*patch size 14"):
                run(images)

    def test_stored_grid_may_be_a_rectangle(self, build: Callable[..., InternViT], close: Any) -> None:
        encoder = build(img_size=(28, 56), depth=1)
        assert encoder.grid_size == (2, 4)
        assert encoder.pos_embed.shape == (1, 9, 32)
        upright = build(img_size=(56, 28), depth=1)
        upright.load_state_dict(encoder.state_dict())
        images = torch.randn(1, 3, 28, 56)
        with torch.no_grad():
            got = encoder(images)
            # At the stored size the embedding is used as it is; the same numbers read as 4 x 2 are another one.
            encoder.grid_size = (1, 8)
            assert not torch.allclose(got, encoder(images), atol=1e-3)
            assert not torch.allclose(got, upright(images), atol=1e-3)

    @pytest.mark.parametrize("img_size", [43, (42, 43), (13, 14), 0])
    def test_stored_grid_has_to_fit(self, img_size: Any, architecture: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"img_size( \d+x\d+ is not a multiple of the patch size 14|=0 is not)"):
            InternViT(**(architecture | {"img_size": img_size}))

    def test_other_patch_sizes_and_channels(self, build: Callable[..., InternViT]) -> None:
        encoder = build(img_size=24, patch_size=8, in_chans=5)
        assert encoder(torch.randn(2, 5, 8, 32)).shape == (2, 5, 32)
        with pytest.raises(ValueError, match="patch size 8"):
            encoder(torch.randn(2, 5, 14, 14))


class TestArguments:
    """A wrong argument fails at construction and names what is allowed."""

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"norm": "batch_norm"}, "batch_norm.*rms_norm, layer_norm"),
            ({"num_heads": 5}, "embed_dim=32.*num_heads=5"),
            ({"depth": 0}, "depth=0"),
            ({"attention": "fast"}, "fast.*plain, sdpa, sdpa_float32, per_head, sdpa_cudnn, flash_attn, flash_attn_3"),
        ],
    )
    def test_refused(self, arguments: dict[str, Any], message: str, architecture: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=message):
            InternViT(**(architecture | arguments))

    def test_parts_follow_the_arguments(self, architecture: dict[str, Any]) -> None:
        names = set(InternViT(**architecture).state_dict())
        assert ("blocks.0.attn.qkv.bias" in names) == architecture["qkv_bias"]
        assert ("blocks.0.attn.q_norm.weight" in names) == architecture["qk_norm"]
        assert ("blocks.0.norm1.bias" in names) == (architecture["norm"] == "layer_norm")

    @pytest.mark.parametrize("kernel", RUN_ANYWHERE)
    def test_kernel_reaches_every_block(self, kernel: str, build: Callable[..., InternViT], close: Any) -> None:
        encoder = build(attention=kernel)
        assert [block.attn.kernel for block in encoder.blocks] == [kernel] * 3
        reference = build(attention="plain")
        reference.load_state_dict(encoder.state_dict())
        images = torch.randn(2, 3, 28, 42)
        with torch.no_grad():
            close(encoder(images), reference(images))

    def test_images_are_converted_to_the_weights_dtype(self, build: Callable[..., InternViT]) -> None:
        encoder = build().bfloat16()
        assert encoder.dtype == torch.bfloat16
        with torch.no_grad():
            assert encoder(torch.randn(1, 3, 28, 28)).dtype == torch.bfloat16
            assert encoder.forward_intermediates(torch.randn(1, 3, 28, 28), [1])[0].dtype == torch.bfloat16


@contextlib.contextmanager
def block_calls(encoder: InternViT) -> Iterator[list[int]]:
    """Indices of the blocks that are called, in order."""
    calls: list[int] = []

    def note(index: int) -> Callable[[nn.Module, Any], None]:
        return lambda module, arguments: calls.append(index)

    # Before the call, not after it: a recomputation stops inside the block as soon as it has what it needs.
    handles = [block.register_forward_pre_hook(note(index)) for index, block in enumerate(encoder.blocks)]
    yield calls
    for handle in handles:
        handle.remove()


class TestForwardIntermediates:
    """Taps."""

    @pytest.mark.parametrize(
        ("indices", "run"), [([0], [0]), ([1, 0], [0, 1]), ([-2], [0, 1]), ([-3, -1], [0, 1, 2]), ([2], [0, 1, 2])]
    )
    def test_no_block_after_the_last_is_run(
        self, indices: list[int], run: list[int], build: Callable[..., InternViT]
    ) -> None:
        encoder = build()
        with block_calls(encoder) as calls:
            encoder.forward_intermediates(torch.randn(1, 3, 28, 28), indices)
        assert calls == run

    @given(indices=st.lists(st.integers(-3, 2), min_size=1, max_size=6))
    def test_order_duplicates_and_negative_indices(self, indices: list[int], build: Callable[..., InternViT]) -> None:
        encoder = build()
        images = torch.randn(1, 3, 14, 28)
        outputs: list[Tensor] = []
        handles = [block.register_forward_hook(lambda m, i, out: outputs.append(out)) for block in encoder.blocks]
        with torch.no_grad():
            encoder(images)
            for handle in handles:
                handle.remove()
            taps = encoder.forward_intermediates(images, indices, output_fmt="NLC")
        assert len(taps) == len(indices)
        for index, tap in zip(indices, taps, strict=True):
            assert torch.equal(tap, outputs[index][:, 1:])

    def test_last_block_equals_forward_features(self, build: Callable[..., InternViT]) -> None:
        encoder = build()
        images = torch.randn(2, 3, 28, 56)
        with torch.no_grad():
            tokens = encoder.forward_features(images)
            (sequence,) = encoder.forward_intermediates(images, [-1], output_fmt="NLC")
            (feature_map,) = encoder.forward_intermediates(images, [-1])
            assert torch.equal(encoder(images), tokens)
        assert torch.equal(sequence, tokens[:, 1:])
        assert feature_map.shape == (2, 32, 2, 4)
        for row in range(2):
            for column in range(4):
                assert torch.equal(feature_map[:, :, row, column], tokens[:, 1 + 4 * row + column])

    def test_later_blocks_leave_a_tap_alone(self, build: Callable[..., InternViT]) -> None:
        # Guards against a block that writes into its input.
        encoder = build()
        images = torch.randn(1, 3, 28, 28)
        with torch.no_grad():
            (alone,) = encoder.forward_intermediates(images, [0])
            among_others = encoder.forward_intermediates(images, [0, 1, 2])
        assert torch.equal(alone, among_others[0])

    def test_gradients_reach_blocks_up_to_the_tap(self, build: Callable[..., InternViT]) -> None:
        encoder = build()
        encoder.forward_intermediates(torch.randn(1, 3, 28, 28), [1])[0].sum().backward()
        for index, block in enumerate(encoder.blocks):
            for parameter in block.parameters():
                assert (parameter.grad is not None) == (index <= 1)
        assert encoder.pos_embed.grad is not None
        assert encoder.patch_embed.proj.weight.grad is not None

    @pytest.mark.parametrize(
        ("indices", "message"),
        [
            ([0, 3], r"indices\[1\] = 3 .*3 blocks.*-3 to 2"),
            ([-4], r"indices\[0\] = -4 .*3 blocks.*-3 to 2"),
            ([], "indices is empty"),
        ],
    )
    def test_impossible_indices(self, indices: list[int], message: str, build: Callable[..., InternViT]) -> None:
        with pytest.raises(ValueError, match=message):
            build().forward_intermediates(torch.randn(1, 3, 28, 28), indices)

    def test_impossible_format(self, build: Callable[..., InternViT]) -> None:
        with pytest.raises(ValueError, match=r"'NHWC'.*'NCHW' or 'NLC'"):
            build().forward_intermediates(torch.randn(1, 3, 28, 28), [0], output_fmt="NHWC")  # type: ignore[arg-type]


class TestGradCheckpointing:
    """Recomputation: in training only, and the same gradients."""

    def gradients(self, encoder: InternViT, images: Tensor) -> dict[str, Tensor]:
        torch.manual_seed(1)
        encoder.zero_grad()
        sum(tap.square().mean() for tap in encoder.forward_intermediates(images, [0, 2])).backward()
        return {name: parameter.grad.clone() for name, parameter in encoder.named_parameters()}

    # Drop path draws random numbers, which a recomputation has to repeat.
    @pytest.mark.parametrize("drop_path_rate", [0.0, 0.5])
    def test_same_gradients(self, drop_path_rate: float, build: Callable[..., InternViT]) -> None:
        kept = build(drop_path_rate=drop_path_rate).train()
        recomputed = build(drop_path_rate=drop_path_rate, grad_checkpointing=True).train()
        recomputed.load_state_dict(kept.state_dict())
        images = torch.randn(4, 3, 28, 28)
        want = self.gradients(kept, images)
        got = self.gradients(recomputed, images)
        assert want.keys() == got.keys()
        for name, gradient in want.items():
            assert torch.equal(got[name], gradient), name

    @staticmethod
    def bytes_kept(encoder: InternViT, images: Tensor) -> int:
        """Bytes that a forward pass leaves behind for the backward pass."""
        kept = 0

        def pack(tensor: Tensor) -> Tensor:
            nonlocal kept
            kept += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            encoder(images)
        return kept

    def test_recomputes_in_training(self, build: Callable[..., InternViT]) -> None:
        encoder = build(grad_checkpointing=True).train()
        images = torch.randn(1, 3, 28, 28)
        with block_calls(encoder) as calls:
            tokens = encoder(images)
            assert calls == [0, 1, 2]
            tokens.sum().backward()
        assert calls == [0, 1, 2, 2, 1, 0]
        assert 2 * self.bytes_kept(encoder, images) < self.bytes_kept(build().train(), images)

    def test_not_without_gradients(self, build: Callable[..., InternViT]) -> None:
        encoder = build(grad_checkpointing=True).train()
        plain = build()
        plain.load_state_dict(encoder.state_dict())
        images = torch.randn(1, 3, 28, 28)
        with block_calls(encoder) as calls, torch.no_grad():
            tokens = encoder(images)
        assert calls == [0, 1, 2]
        assert not tokens.requires_grad
        assert torch.equal(tokens, plain(images))

    def test_no_graph_without_gradients(self, build: Callable[..., InternViT]) -> None:
        encoder = build(grad_checkpointing=True).train().requires_grad_(False)
        assert self.bytes_kept(encoder.eval(), torch.randn(1, 3, 28, 28)) == 0


class TestInit:
    """Random weights."""

    def test_statistics(self, architecture: dict[str, Any]) -> None:
        encoder = InternViT(**(architecture | {"embed_dim": 64, "init_values": 0.25}))
        for name, parameter in encoder.named_parameters():
            values = parameter.detach()
            if name.endswith("gamma"):
                assert torch.all(values == 0.25), name
            elif "norm" in name and name.endswith("weight"):
                assert torch.all(values == 1), name
            elif name.startswith("patch_embed"):
                continue
            elif name.endswith("bias"):
                assert torch.all(values == 0), name
            else:
                # Five standard errors of a standard deviation, and of a mean.
                deviation = 5 / values.numel() ** 0.5
                assert values.std().item() == pytest.approx(0.02, rel=deviation), name
                assert abs(values.mean().item()) < 0.02 * deviation, name

    def test_seed_decides(self, architecture: dict[str, Any]) -> None:
        def states(seed: int) -> dict[str, Tensor]:
            torch.manual_seed(seed)
            return InternViT(**architecture).state_dict()

        first, again, other = states(3), states(3), states(4)
        assert all(torch.equal(first[name], again[name]) for name in first)
        assert not torch.equal(first["blocks.0.attn.qkv.weight"], other["blocks.0.attn.qkv.weight"])
        assert not torch.equal(first["blocks.0.attn.qkv.weight"], first["blocks.1.attn.qkv.weight"])


class TestGraphs:
    """One graph for all sizes."""

    # A rectangle first: a compiler that first meets a square takes height and width for one number.
    sizes = ((42, 56), (42, 42), (70, 28))

    def test_compile(self, build: Callable[..., InternViT], close: Callable[..., None]) -> None:
        torch.compiler.reset()
        encoder = build(depth=1)
        compiled = torch.compile(encoder, fullgraph=True, dynamic=True)
        with torch.no_grad():
            for count, size in enumerate(self.sizes):
                images = torch.randn(2, 3, *size)
                # From the second call on nothing may be compiled again, whatever the size.
                with torch.compiler.set_stance("fail_on_recompile") if count else contextlib.nullcontext():
                    close(compiled(images), encoder(images))

    def test_export(self, build: Callable[..., InternViT], close: Callable[..., None]) -> None:
        encoder = build()
        rows, columns = torch.export.Dim("rows", min=1, max=64), torch.export.Dim("columns", min=1, max=64)
        program = torch.export.export(
            encoder, (torch.randn(2, 3, *self.sizes[0]),), dynamic_shapes=({2: 14 * rows, 3: 14 * columns},)
        )
        with torch.no_grad():
            for size in self.sizes:
                images = torch.randn(2, 3, *size)
                close(program.module()(images), encoder(images))
