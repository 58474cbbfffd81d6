"""A product and a sum in one step, for kernels that repeat what OpenCV calculates in floats."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic  # type: ignore[untyped-decorator]
def fused(_context: Any, _one: Any, _other: Any, _added: Any) -> Any:
    """``one`` * ``other`` + ``added`` in 32 bits, rounded once, where the processor can do that.

    LLVM could find them itself, but not where a product is used twice or stands outside of a loop.
    """

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        number = ir.FloatType()
        three = ir.FunctionType(number, [number] * 3)
        step = builder.module.declare_intrinsic("llvm.fmuladd", [number], three)
        return builder.call(step, arguments)

    return types.float32(types.float32, types.float32, types.float32), generate
