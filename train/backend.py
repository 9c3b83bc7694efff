"""Keras, imported once it is known that the backend chosen for it is installed."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fer_edge.edge.errors import ConfigError, shortened
from fer_edge.edge.files.documents import read_json

BACKENDS = ("tensorflow", "jax", "torch")
"""Keras' backends that can train."""

VARIABLE = "KERAS_BACKEND"


def check_backend() -> None:
    """Check what KERAS_BACKEND or keras.json chooses: Keras reports it as a missing module, or with a traceback.

    Raises:
        ConfigError: The backend is unknown or not installed, or keras.json is damaged or chooses what no network here
            is made for.
    """
    path = Path(os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")).expanduser() / "keras.json"
    stored = _stored(path)
    variable = os.environ.get(VARIABLE)
    name, origin = (variable, VARIABLE) if variable else (stored.get("backend", "tensorflow"), f"{path}, backend")
    installed = [each for each in BACKENDS if find_spec(each) is not None]
    if name not in BACKENDS or (name not in installed and name != "tensorflow"):  # without it, an extra is missing
        here = f"installed: {', '.join(installed) or 'none of them'}"
        problem = "is not installed" if name in BACKENDS else "is no backend that can train"
        raise ConfigError(f"{origin} = {shortened(name)} {problem}; expected {', '.join(BACKENDS)}; {here}")
    for key, expected in (("floatx", "float32"), ("image_data_format", "channels_last")):
        if stored.get(key, expected) != expected:
            raise ConfigError(f"{path}, {key} = {shortened(stored[key])}; the networks here need {expected}")


def _stored(path: Path) -> dict[str, Any]:
    """What keras.json holds; nothing where there is none. Raises ConfigError."""
    hint = "correct or remove it, Keras writes a new one"
    try:
        value = read_json(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; {hint}") from None
    except ValueError as error:
        raise ConfigError(f"{path} is no configuration of Keras: {error}; {hint}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{path} is no configuration of Keras: expected an object; {hint}")
    return value


def _import_keras() -> Any:
    """Keras; ConfigError where it or its backend does not start."""
    check_backend()
    try:
        import keras
    except ModuleNotFoundError as error:
        if error.name in ("keras", "tensorflow"):  # the command line names the extra
            raise
        raise ConfigError(f"Keras does not start: {shortened(error, 200)}; check its backend") from None
    except Exception as error:  # a variable such as KERAS_MAX_EPOCHS that is no number, or a broken backend
        reason = shortened(error, 200)
        raise ConfigError(f"Keras does not start: {reason}; check its backend and the variables KERAS_…") from None
    return keras


keras = _import_keras()


def forget_networks() -> None:
    """Release what Keras and TensorFlow keep of networks that nobody uses any more, before the next of many."""
    keras.utils.clear_session()
    if keras.backend.backend() == "tensorflow":
        from tensorflow.python.framework import ops

        # TensorFlow keeps each graph that has averaged gradients over replicas, as Keras' optimizers do even with one:
        # 70 MB for a training of mobilenet_v2_small. Its name is looked up only while a graph is being made.
        registry = getattr(getattr(ops, "gradient_registry", None), "_registry", {})
        for name in [each for each in registry if each.startswith("CustomGradient-")]:
            del registry[name]
