"""Hydra's and OmegaConf's errors in this project's words: the key, the value, the remedy."""

import re
from collections.abc import Sequence

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import OmegaConfBaseException

from twin.hall.errors import did_you_mean

FAULTS = (HydraException, OmegaConfBaseException)


def complaint(error: Exception, keys: Sequence[str], arguments: Sequence[str]) -> str:
    """One line about a configuration error. ``keys`` are the top-level keys there are, ``arguments`` what was typed."""
    if isinstance(error, OverrideParseException):
        return (
            f"command line: '{error.override}' cannot be read as KEY=VALUE ({_first(str(error.__cause__ or error))}). "
            "Write such as seed=1, and put a value with spaces or commas in quotes twice: \"key='a, b'\"."
        )
    if isinstance(error, MissingConfigException) and error.options is not None and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        name = name.removesuffix(".yaml")
        known = [option for option in error.options if not option.startswith("_")]
        return f"command line: {group} = '{name}': there is none of that name. {did_you_mean(name, known)}."
    text = " ".join(str(part) for part in (error, error.__cause__) if part is not None)
    if isinstance(error, ConfigCompositionException | OmegaConfBaseException) and (key := _key(text)):
        group_like = "No match in the defaults list" in text
        argument = next((word for word in arguments if word.lstrip("+~").startswith(key)), key)
        near = did_you_mean(key.split(".")[0], keys)
        if "not in struct" in text or group_like:
            remedy = f"{near}" if key.split(".")[0] not in keys else "See 'twin run --cfg job' for the keys under it"
            return f"command line: {argument}: there is no key '{key}'. {remedy}."
        return f"command line: {argument}: {_first(text)}. See 'twin run --cfg job' for what is there."
    return f"command line: {_first(text)}. 'twin run --help' shows how settings are written."


def _key(text: str) -> str | None:
    for pattern in (r"Could not override '([^']+)'", r"Key '([^']+)' is not in struct", r"full_key: (\S+)"):
        if found := re.search(pattern, text):
            return found[1].split("@")[0]
    return None


def _first(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else "no reason was given"
