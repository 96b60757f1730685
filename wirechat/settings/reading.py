"""From file, environment and flags to `Settings`, with the origin of every value.

Flags win over the environment, the environment over the file, the file over the defaults; a list replaces a list.
TOML has types, so nothing is converted there; a variable or a flag is text and is read by the type of its setting. A
relative path in the file starts at the file, elsewhere at the working directory.

Whatever is wrong is said with the place it was said at and what to write instead.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_origin

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from wirechat.server.config import About
from wirechat.server.listeners import Address
from wirechat.settings import schema
from wirechat.settings.errors import BadSettings
from wirechat.settings.schema import FIELDS, Format, Ip, Level, Prefix, Settings, WebOrigin
from wirechat.settings.urls import BusUrl, StoreUrl

PREFIX = "WIRECHAT_"

_WEB_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9.:\[\]-]+", re.ASCII)
"""Browsers write it in lower case. Pages without an origin call it null, and cannot be named."""

_PREFIX = re.compile(r"[\w-]+(\.[\w-]+)*", re.ASCII)


@attrs.frozen
class Origin:
    """Where a value was said."""

    kind: str
    """ "default", "file", "environment" or "flag"."""
    name: str = ""
    """The file, the variable or the flag."""

    def place(self, path: str) -> str:
        """How an error names it; `path` is where inside of a file."""
        return f"{self.name}: {path}" if self.kind == "file" else self.name


DEFAULT = Origin("default")


@attrs.frozen
class Loaded:
    """Settings, and who said so."""

    settings: Settings
    origins: dict[str, Origin]
    """ "section.key" -> where it was said; the others are defaults."""

    def origin(self, path: str) -> Origin:
        """Where the value of "section.key" was said."""
        return self.origins.get(path, DEFAULT)


@attrs.frozen
class Sources:
    """Where to read; may be read again."""

    file: Path | None
    environment: Mapping[str, str]
    flags: Mapping[str, Any]
    """ "section.key" -> what its flag says."""
    worker: int = 0
    """For which one of several."""

    def load(self) -> Loaded:
        """Read everything. Raises BadSettings."""
        tree: dict[str, Any] = {}
        origins: dict[str, Origin] = {}
        if self.file is not None:
            tree = _read(self.file)
            origins |= {path: Origin("file", str(self.file)) for path in _paths(tree)}
        for path, origin, value in (*_variables(self.environment), *_flags(self.flags)):
            section = tree.setdefault(path.partition(".")[0], {})
            if isinstance(section, dict):
                section[path.partition(".")[2]] = value
                origins[path] = origin
        try:
            return Loaded(_CONVERTER.structure(tree, Settings).of_worker(self.worker), origins)
        except cattrs.BaseValidationError as error:
            raise BadSettings(*_told(error, origins, self.file)) from None


# the file


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            tree = tomllib.load(opened)
    except OSError as error:
        raise BadSettings(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadSettings(f"{file}: is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{file}: {error}") from None
    except ValueError:
        raise BadSettings(f"{file}: a number in it has too many digits") from None
    except RecursionError:
        raise BadSettings(f"{file}: it nests too deeply") from None
    for path, field in FIELDS.items():
        section, name = path.split(".")
        keys = tree.get(section)
        if field.type == (Path | None) and isinstance(keys, dict) and isinstance(keys.get(name), str):
            keys[name] = keys[name] and str(file.parent / keys[name])
    return tree


def _paths(tree: Mapping[str, Any]) -> list[str]:
    return [f"{section}.{name}" for section, keys in tree.items() if isinstance(keys, dict) for name in keys]


# the environment and the flags


def _variables(environment: Mapping[str, str]) -> Iterable[tuple[str, Origin, Any]]:
    """The settings among the variables. Others with our prefix are left alone unless they look like one: orchestrators
    make WIRECHAT_PORT and the like for a service of our name.
    """
    paths = {schema.variable(path): path for path in FIELDS}
    flat = {name.replace("__", "_"): name for name in paths}
    flags = {PREFIX + flag.strip("-").replace("-", "_").upper(): name for name, flag in _flag_names(paths)}
    problems = []
    for name, text in sorted(environment.items()):
        if name in paths:
            yield paths[name], Origin("environment", name), _typed(paths[name], text)
        elif name in flat:
            problems.append(f"{name}: write {flat[name]}, with two underscores between section and key")
        elif name in flags:
            problems.append(f"{name}: no such setting; write {flags[name]}")
        elif name.startswith(PREFIX) and "__" in name:
            problems.append(f"{name}: no such setting{_meant(name, paths)}")
    if problems:
        raise BadSettings(*problems)


def _flag_names(paths: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """(variable, flag) of the settings that have a flag."""
    return [(name, flag) for name, path in paths.items() if (flag := schema.about(path).flag)]


def _flags(flags: Mapping[str, Any]) -> Iterable[tuple[str, Origin, Any]]:
    for path, said in flags.items():
        flag = schema.about(path).flag or "--verbose"
        yield path, Origin("flag", flag), _typed(path, said) if isinstance(said, str) else said


def _typed(path: str, text: str) -> Any:
    """The value a text stands for; what it cannot stand for is left as it is, for the check of types to find."""
    kind = FIELDS[path].type
    if kind is int:
        return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text.strip(), re.ASCII) else text
    if kind is bool:
        return {"true": True, "false": False}.get(text.strip().lower(), text)
    if get_origin(kind) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


# types


def _number(value: object, _: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{_shown(value)} is not a whole number")
    return value


def _truth(value: object, _: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{_shown(value)} is neither true nor false")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is not text; put it in quotes")
    return value


def _path(value: object, _: object) -> Path | None:
    text = _text(value)
    if not text or "\0" in text:
        raise ValueError(f"{_shown(value)} is not a path")
    return Path(text)


def _address(value: object, _: object) -> Address:
    return Address.parse(_text(value))


def _ip(value: object, _: object) -> Ip:
    try:
        return Ip(str(ipaddress.ip_address(_text(value))))
    except ValueError:
        raise ValueError(f"{_shown(value)} is not an IP address") from None


def _web_origin(value: object, _: object) -> WebOrigin:
    text = _text(value)
    if not _WEB_ORIGIN.fullmatch(text):
        raise ValueError(f"{_shown(value)} is not an origin; write it like https://chat.example.org, without a path")
    return WebOrigin(text)


def _store_url(value: object, _: object) -> StoreUrl:
    return StoreUrl.parse(_secret(value))


def _bus_url(value: object, _: object) -> BusUrl:
    return BusUrl.parse(_secret(value))


def _secret(value: object) -> str:
    """Text that is not shown even when it is wrong."""
    if not isinstance(value, str):
        raise ValueError("is not text; put it in quotes")
    return value


def _prefix(value: object, _: object) -> Prefix:
    text = _text(value)
    if not _PREFIX.fullmatch(text):
        raise ValueError(f"{_shown(value)} is not a prefix; use letters, digits, - and _, with dots between them")
    return Prefix(text)


def _choice(value: object, kind: Any) -> str:
    choices = get_args(kind)
    if value not in choices:
        raise ValueError(f"{_shown(value)} is none of {', '.join(choices)}")
    return str(value)


def _shown(value: object) -> str:
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _field(field: attrs.Attribute[Any], value: Any, kind: Any) -> Any:
    """One setting: the shape of a list, the type, the range."""
    about = field.metadata[About]
    if get_origin(kind) is tuple and not isinstance(value, list):
        raise ValueError(f"{_shown(value)} is not a list; write [{_shown(value)}]")
    made = _CONVERTER.structure(value, kind)
    if isinstance(made, int) and about.least is not None and not about.least <= made <= about.most:
        raise ValueError(f"{made} is not between {about.least} and {about.most} {about.unit}")
    return made


def _section(value: Any, kind: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"is a section; write [{kind.__name__.lower()}] and its keys below")
    return _CONVERTER.structure(value, kind)


def _converter() -> cattrs.Converter:
    made = cattrs.Converter(forbid_extra_keys=True)
    hooks: dict[Any, Any] = {
        int: _number,
        bool: _truth,
        Path | None: _path,
        Address: _address,
        Ip: _ip,
        WebOrigin: _web_origin,
        Prefix: _prefix,
        StoreUrl | None: _store_url,
        BusUrl | None: _bus_url,
    }
    for kind, hook in hooks.items():
        made.register_structure_hook(kind, hook)
    for choice in (Level, Format):
        made.register_structure_hook_func(lambda kind, choice=choice: kind == choice, _choice)  # type: ignore[misc]
    for cls in schema.sections().values():
        fields = {field.name: override(struct_hook=partial(_field, field)) for field in attrs.fields(cls)}
        made.register_structure_hook(
            cls,
            make_dict_structure_fn(cls, made, _cattrs_forbid_extra_keys=True, **fields),  # type: ignore[arg-type]
        )
    parts = {name: override(struct_hook=_section) for name in schema.sections()}
    made.register_structure_hook(
        Settings,
        make_dict_structure_fn(Settings, made, _cattrs_forbid_extra_keys=True, **parts),  # type: ignore[arg-type]
    )
    return made


_CONVERTER = _converter()


# errors


def _told(error: cattrs.BaseValidationError, origins: Mapping[str, Origin], file: Path | None) -> list[str]:
    """One line for each problem, with the place it was said at."""
    lines = []
    for line in cattrs.transform_error(error, "$", _worded):
        text, _, path = line.rpartition(" @ $")
        path = path.removeprefix(".")
        origin = origins.get(re.sub(r"\[.*", "", path), Origin("file", str(file)))
        lines.append(f"{origin.place(path)}: {text}" if path else f"{file}: {text}")
    return lines


def _worded(error: BaseException, kind: Any) -> str:
    if not isinstance(error, cattrs.ForbiddenExtraKeysError):
        return str(error)
    known = [field.name for field in attrs.fields(error.cl)]
    what = "section" if error.cl is Settings else "key"
    named = [(name if name.isidentifier() else _shown(name), name) for name in sorted(error.extra_fields)]
    return ", ".join(f"there is no {what} {shown}{_meant(name, known)}" for shown, name in named)


def _meant(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""
