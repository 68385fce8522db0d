"""From a module to a program for images of any number, height and width."""

import torch
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as symbolic_shapes

from .errors import ExportError
from .graphs import Graph

# Another length than the traced ones, and no multiple of theirs or of any patch.
_OTHER_SIDE = 1009


def _clean(program: ExportedProgram) -> None:
    """Remove, in place, what is not to be in a file: assertions about sizes, and the paths of this machine.

    Tracing asks how tensors lie in memory and notes that the answer holds where no side is 1. Nothing is computed
    differently there, but the program would refuse pictures that are one patch high or wide.

    Raises:
        ExportError: An assertion is of another kind: it holds for the size that was traced and not for others.
    """
    graph = program.graph_module.graph
    for node in list(graph.nodes):
        node.meta.pop("stack_trace", None)
        if node.target is torch.ops.aten._assert_scalar.default:
            condition = node.args[0].meta["val"].node.expr
            if not condition.subs(dict.fromkeys(condition.free_symbols, _OTHER_SIDE)):
                raise ExportError(
                    "This model is one for images of one size: it reads the sizes of maps as numbers. MMSegmentation's "
                    "heads that resize maps do so with align_corners=True; train them with align_corners=False."
                )
            graph.erase_node(node)
    graph.eliminate_dead_code()
    program.graph_module.recompile()


@torch.no_grad()
def trace(graph: Graph) -> ExportedProgram:
    """Trace a graph with ``torch.export``.

    Args:
        graph: What to trace, in eval mode.

    Returns:
        The program; its images are (B, 3, H, W), B, H and W any that the graph takes.

    Raises:
        ExportError: A part of the model is one for images of one size.
    """
    # Odd numbers, so that no side is taken for another one or for a number of the model.
    images = torch.zeros(2, graph.channels, 61 * graph.multiple, 87 * graph.multiple)
    height, width = (Dim(name) if graph.multiple == 1 else graph.multiple * Dim(name) for name in ("height", "width"))
    sizes = {0: Dim("batch"), 2: height, 3: width}
    try:
        # As torch.onnx does it, so that a size of 1 is no other case than 2.
        with symbolic_shapes.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]  # Made at run time.
            program = torch.export.export(
                graph, (images,), dynamic_shapes=(sizes,), prefer_deferred_runtime_asserts_over_guards=True
            )
    except (torch._dynamo.exc.UserError, ValueError) as error:
        raise ExportError(f"This model cannot be traced for images of any size: {error}") from error
    _clean(program)
    return program
