"""What entries of a module's state are for: weights may hold anything, constants of a neuron make it what it is."""

from __future__ import annotations

from typing import Any

from .tracing import Recording

_MOVES = frozenset(
    "alias clone contiguous detach expand flatten permute reshape squeeze t transpose unsqueeze view".split()
)
_PRODUCTS = frozenset("addmm bmm convolution linear matmul mm mv".split())
_NORMS = frozenset("cudnn_batch_norm native_batch_norm native_batch_norm_legit_no_training".split())


def labelled(recording: Recording) -> set[str]:
    """The entries that products and norms read, or that are added to a product: nothing depends on their values."""
    placeholders = [node for node in recording.graph.nodes if node.op == "placeholder"]
    return {
        entry
        for entry, node in zip(recording.entries, placeholders, strict=False)
        if node.users and all(_free(user, node) for user in node.users)
    }


def _free(user: Any, value: Any) -> bool:
    """Whether *user* does the same to *value*, whatever it is."""
    name = name_of(user)
    if name in _PRODUCTS or name in _NORMS:
        return True
    if name in _MOVES:
        return all(_free(further, user) for further in user.users)
    if name == "add" and user.kwargs.get("alpha", 1) == 1:
        return any(_is_product(other) for other in user.all_input_nodes if other is not value)
    return False


def _is_product(node: Any) -> bool:
    """Whether *node* is a product, in whatever shape."""
    while name_of(node) in _MOVES and node.all_input_nodes:
        node = node.all_input_nodes[0]
    return name_of(node) in _PRODUCTS


def name_of(node: Any) -> str:
    """The name of an operation without its variant, underscores around it, and ``_copy``."""
    name = str(getattr(node.target, "__name__", node.target)).partition(".")[0]
    return name.strip("_").removesuffix("_copy")
