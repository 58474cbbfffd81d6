"""Which environment variables an engine gets: it decodes strangers' files, and needs no secret."""

from __future__ import annotations

from collections.abc import Mapping

#: To find programs and libraries, to write temporary files and caches, for language and time zone.
_ALLOWED = frozenset(
    {
        "GLIBC_TUNABLES",
        "HOME",
        "LANG",
        "LANGUAGE",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",  # memory allocators, such as tcmalloc
        "LOGNAME",
        "PATH",
        "TEMP",
        "TMP",
        "TMPDIR",
        "TZ",
        "USER",
        "VIRTUAL_ENV",
        "XDG_CACHE_HOME",
    }
)
#: Settings of Python, of TensorFlow, OpenVINO, ONNX Runtime and OpenCV, of the libraries that
#: compute for them, and of GPUs.
_ALLOWED_PREFIXES = (
    "CUDA_",
    "DNNL_",
    "GOMP_",
    "KERAS_",
    "KMP_",
    "LC_",
    "MALLOC_",
    "MKL_",
    "NVIDIA_",
    "OMP_",
    "ONEDNN_",
    "OPENBLAS_",
    "OPENCV_",
    "OPENVINO_",
    "ORT_",
    "OV_",
    "PYTHON",
    "TBB_",
    "TF_",
    "XLA_",
)


#: Which GPUs a process may see: all of them, unless it says which; none, if it is empty.
GPUS = "CUDA_VISIBLE_DEVICES"


def engine_environment(environ: Mapping[str, str], threads: int) -> dict[str, str]:
    """The variables for an engine that computes in ``threads`` threads: those of its worker that
    are known to be needed, and no others. Settings come as an argument.

    It sees no GPU: TensorFlow would open it, once in each engine.
    """
    return {**_kept(environ, threads), GPUS: ""}


def device_environment(environ: Mapping[str, str], threads: int, device: str) -> dict[str, str]:
    """The same for a predictor process, which sees GPUs unless its device is a processor."""
    kept = _kept(environ, threads)
    return kept if device.startswith("GPU") else {**kept, GPUS: ""}


def _kept(environ: Mapping[str, str], threads: int) -> dict[str, str]:
    kept = {
        name: value
        for name, value in environ.items()
        if name in _ALLOWED or name.startswith(_ALLOWED_PREFIXES)
    }
    return {
        **kept,
        "TF_CPP_MIN_LOG_LEVEL": kept.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        "OMP_NUM_THREADS": str(threads),
    }
