"""Parameters and floating-point operations of layers, counted from their sizes alone.

Operations are those of matrix products and convolutions, two for each multiplication with its
addition, as torch.utils.flop_counter counts them; norms, activations and sums are left out.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tally:
    """What layers have and do for one sample in one forward pass.

    Args:
        parameters: Numbers that are learned.
        convolution: Operations of convolutions, FLOPs.
        product: Operations of matrix products, FLOPs.
    """

    parameters: int = 0
    convolution: int = 0
    product: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.parameters + other.parameters,
            self.convolution + other.convolution,
            self.product + other.product,
        )

    def times(self, count: float) -> Work:
        """The operations of so many passes of one sample."""
        return Work(count * self.convolution, count * self.product)

    @property
    def flops(self) -> int:
        """Of one forward pass of one sample."""
        return self.convolution + self.product


@dataclass(frozen=True)
class Work:
    """Operations, FLOPs, by what a GPU runs them on.

    Args:
        convolution: Of convolutions.
        product: Of matrix products.
    """

    convolution: float = 0.0
    product: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.convolution + other.convolution, self.product + other.product)

    def times(self, count: float) -> Work:
        """The same so many times."""
        return Work(count * self.convolution, count * self.product)

    @property
    def flops(self) -> float:
        """All of them."""
        return self.convolution + self.product


@dataclass(frozen=True)
class Size:
    """Height and width of features."""

    height: int
    width: int

    @property
    def cells(self) -> int:
        """Places of a feature map."""
        return self.height * self.width

    def halved(self) -> Size:
        """After a 3x3 convolution of stride 2 with a padding of 1."""
        return Size((self.height + 1) // 2, (self.width + 1) // 2)


def convolution(inputs: int, outputs: int, kernel: int, size: Size, bias: bool = True) -> Tally:
    """A square convolution whose output has the given size."""
    weights = inputs * outputs * kernel**2
    return Tally(weights + outputs * bias, convolution=2 * weights * size.cells)


def linear(inputs: int, outputs: int, rows: int, bias: bool = True) -> Tally:
    """A linear layer on so many rows."""
    return Tally(inputs * outputs + outputs * bias, product=2 * inputs * outputs * rows)


def norm(channels: int) -> Tally:
    """A group or layer norm's scale and shift."""
    return Tally(2 * channels)


def attention(channels: int, queries: int, keys: int) -> Tally:
    """Queries by keys, and the weights by values; any number of heads costs the same."""
    return Tally(product=4 * channels * queries * keys)


def residual_block(inputs: int, outputs: int, embedding: int, size: Size) -> Tally:
    """diffusers' ResnetBlock2D.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        embedding: Width of the time's embedding; 0 for a block that has none.
        size: Of the features.
    """
    total = norm(inputs) + convolution(inputs, outputs, 3, size)
    total += norm(outputs) + convolution(outputs, outputs, 3, size)
    if embedding:
        total += linear(embedding, outputs, 1)
    if inputs != outputs:
        total += convolution(inputs, outputs, 1, size)
    return total


def transformer(channels: int, context: int, tokens: int, size: Size) -> Tally:
    """diffusers' Transformer2DModel with one block: to itself, to a prompt, and GEGLU.

    Args:
        channels: Of the features.
        context: Width of the prompt's tokens.
        tokens: Of the prompt.
        size: Of the features.
    """
    cells = size.cells
    total = norm(channels) + convolution(channels, channels, 1, size)
    for width, keys in ((channels, cells), (context, tokens)):
        total += norm(channels) + linear(channels, channels, cells, bias=False)
        total += linear(width, channels, keys, bias=False)
        total += linear(width, channels, keys, bias=False)
        total += attention(channels, cells, keys) + linear(channels, channels, cells)
    total += norm(channels) + linear(channels, 8 * channels, cells)
    total += linear(4 * channels, channels, cells)
    return total + convolution(channels, channels, 1, size)
