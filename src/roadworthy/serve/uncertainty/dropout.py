"""A net that is asked through thinned copies of itself: dropout at inference (Gal & Ghahramani 2016).

Each sample has one mask for all rows, drawn from the seed, so that a row's answer depends on no other row and on no
earlier call ("consistent MC dropout", Kirsch et al. 2019, BatchBALD). All samples go through the net in one pass.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from roadworthy.core.errors import BadData

# The layers that multiply by a mask: of single values, or of whole channels.
_ELEMENTWISE, _CHANNELWISE = ("Dropout",), ("Dropout1d", "Dropout2d", "Dropout3d")


class Thinned:
    """Runs a torch module on `samples` copies of its rows, one below the other, each copy thinned by a mask of its own.

    Only dropout layers are put to work; everything else stays as in `eval()`. Raises BadData for a module without any,
    and for layers whose first axis is not the rows. What a module drops by `torch.nn.functional` is not seen.
    """

    def __init__(self, module: Any, samples: int, seed: int) -> None:
        self._module, self._samples, self._seed = module, samples, seed
        self._masks: dict[tuple[int, int, tuple[int, ...]], Any] = {}
        self._uses: dict[int, int] = {}
        self._rows = 0
        layers = [(name, layer) for name, layer in module.named_modules() if _drops(layer)]
        if not layers:
            raise BadData(
                f"`dropout_samples` needs a layer of `torch.nn.Dropout` (or 1d, 2d, 3d) with `p` above 0, and "
                f"{type(module).__name__} has none; train it with one, or make an `ensemble`"
            )
        for number, (name, layer) in enumerate(layers):
            layer.register_forward_hook(partial(self._thin, number, name))

    def __call__(self, *inputs: Any) -> Any:
        """What the module answers to each row of each copy, copy by copy."""
        self._uses.clear()
        self._rows = len(inputs[0]) * self._samples
        return self._module(*(tensor.repeat(self._samples, *[1] * (tensor.ndim - 1)) for tensor in inputs))

    def _thin(self, number: int, name: str, layer: Any, given: Any, output: Any) -> Any:
        """The hook on a dropout layer, which in `eval()` hands its input on."""
        if output.shape[0] != self._rows:
            told = f"has {output.shape[0]} entries along its first axis for {self._rows} rows"
            raise BadData(f"the dropout layer {name!r} {told}: with `dropout_samples` rows must come first")
        # A layer that is used twice has a mask for each use.
        use = self._uses[number] = self._uses.get(number, 0) + 1
        key = (number, use, tuple(output.shape[1:]))
        if key not in self._masks:
            self._masks[key] = self._drawn(key, layer)
        mask = self._masks[key].to(output)
        many = output.reshape(self._samples, -1, *output.shape[1:])
        return (many * mask).reshape(output.shape)

    def _drawn(self, key: tuple[int, int, tuple[int, ...]], layer: Any) -> Any:
        """The factors of all samples (samples, 1, ...): 0 with probability p, else 1 / (1 - p)."""
        import torch

        number, use, shape = key
        if type(layer).__name__ in _CHANNELWISE:
            shape = (shape[0], *[1] * (len(shape) - 1))
        # Prime factors keep the layers' and uses' draws apart.
        drawn = torch.Generator().manual_seed(self._seed * 1_000_003 + number * 1_009 + use)
        kept = torch.rand((self._samples, 1, *shape), generator=drawn) >= layer.p
        return kept / max(1.0 - layer.p, 1e-9)


def _drops(layer: Any) -> bool:
    return type(layer).__name__ in (*_ELEMENTWISE, *_CHANNELWISE) and layer.p > 0
