"""The settings of composed strings: the table [strings] of a training's configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Share = Annotated[float, Field(ge=0, le=1)]


class Strings(BaseModel):
    """How strings are composed; only for an architecture that reads strips."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    most: Annotated[int, Field(ge=1, le=20)] = Field(
        default=10, description="most digits of a string"
    )
    amounts: _Share = Field(
        default=0.4,
        description="share written as amounts: separators, decimals, a closing dash, a currency",
    )
    whole: _Share = Field(
        default=0.1, description="share taken from whole strips, if a source has any"
    )
    slant: Annotated[float, Field(ge=0)] = Field(
        default=0.2, description="deviation of a hand's slant: horizontal shift for each row"
    )
    close: _Share = Field(default=0.3, description="share written so closely that digits touch")
    joined: _Share = Field(
        default=0.0, description="share of hands that join zeros, and now and then other digits"
    )
    running: _Share = Field(
        default=0.0,
        description="share of fast hands: zeros in one stroke, short shapes of 1, 5, 7, 9",
    )
