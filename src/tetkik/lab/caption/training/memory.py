"""Counting bytes: what is alive at the same time while tensors come and go.

The counter sees every operation of torch on its way to a kernel, so nothing has to be known of a network. On
fake tensors, which have shapes and types and no content, it counts a training step of a network that no
machine at hand could hold; on real ones it counts the same step as it runs. What a kernel takes and gives
back inside itself is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of all tensors alive, now and at the highest.

    Tensors that share their memory count once. Those made before the counter began count when `hold` names
    them.

    Attributes:
        now: bytes alive.
        peak: the most that were alive at once.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self._known: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def hold(self, tensors: Iterable[Tensor]) -> Self:
        """Count tensors that are there already."""
        for tensor in tensors:
            self._see(tensor)
        return self

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation and count what it gives."""
        made = func(*args, **(kwargs or {}))
        for item in tree_leaves(made):
            if isinstance(item, Tensor):
                self._see(item)
        return made

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        known = self._known.get(key)
        if known is not None and known() is not None:
            return
        size = storage.nbytes()
        self._known[key] = weakref.ref(storage, self._forget(key, size))
        self.now += size
        self.peak = max(self.peak, self.now)

    def _forget(self, key: int, size: int) -> Callable[[object], None]:
        def gone(reference: object) -> None:
            self.now -= size
            # A new tensor may have taken the place in the meantime.
            if self._known.get(key) is reference:
                del self._known[key]

        return gone


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Bytes that tensors take together; shared memory counts once."""
    storages = [item.untyped_storage() for item in tensors]
    return sum({storage._cdata: storage.nbytes() for storage in storages}.values())


def tensors_of(network: nn.Module) -> list[Tensor]:
    """All weights and buffers."""
    return [*network.parameters(), *network.buffers()]


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Multiplications and additions of matrices, convolutions and attention.

    The counter of torch itself marks modules in the graph of the backward pass, which keeps that graph and
    all it holds alive; the bytes of a step could not be counted beside it.

    Attributes:
        total: so far; a multiplication and its addition are two.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation and count it."""
        made = func(*args, **(kwargs or {}))
        packet = func._overloadpacket
        if packet in flop_registry:
            self.total += flop_registry[packet](*args, **(kwargs or {}), out_val=made)
        elif packet is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu:
            shapes = [item.shape for item in args[:3]]
            self.total += sdpa_flop_count(*shapes)  # type: ignore[no-untyped-call]
        elif packet is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward:
            shapes = [item.shape for item in args[:4]]
            self.total += sdpa_backward_flop_count(*shapes)  # type: ignore[no-untyped-call]
        return made
