"""Pictures in object storage and on web servers, by their addresses: s3://, gs://, https:// and others, with fsspec.

Credentials, regions, proxies and retries are those of the environment, as fsspec and its s3fs, gcsfs and so on read
them: environment variables, ~/.aws, ~/.netrc, ~/.config/fsspec/*.json.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from fer_edge.edge.errors import FerEdgeError, SourceError, printable, redact, redact_text, shortened
from fer_edge.edge.sources.picture_decoder import LoadedPicture, decode_picture
from fer_edge.edge.sources.picture_files import SUFFIXES, describe_left_out
from fer_edge.edge.sources.picture_header import MAX_PIXELS
from fer_edge.edge.sources.pictures import READ_BYTES, max_bytes

STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")
"""Schemes of stores that have folders, which can be listed."""

SERVERS = ("http", "https")
"""Schemes of which every address is one file: a web page that lists others is not a folder."""

CONNECT_TIMEOUT, ANSWER_TIMEOUT, FETCH_TIMEOUT = 10.0, 30.0, 300.0
"""Seconds that a web server has to accept a connection, to send more, and to send a whole picture."""

ATTEMPTS = 3
"""How often a picture is requested of a web server; fsspec's object stores have retries of their own."""

RETRY_AFTER = 0.5
"""Seconds before the second attempt, and half of those before the third."""

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses of what may pass."""

_ADDRESS = re.compile(rf"({'|'.join((*STORES, *SERVERS))})://", re.IGNORECASE)


@dataclass
class RemotePictures:
    """The pictures at one address.

    Attributes:
        addresses: Their addresses, sorted; some may be missing or damaged.
        left_out: What of the folder is left out, counted, in words; empty where nothing is.
        listed: Whether the address is a folder's.
    """

    addresses: list[str] = field(default_factory=list)
    left_out: str = ""
    listed: bool = False


def is_remote(name: str) -> bool:
    """Whether a name is an address of a picture or folder that fsspec reads, such as s3://bucket/folder."""
    return _ADDRESS.match(name) is not None


def shown_address(address: str) -> str:
    """The address for results: without user, password and secret parameters, see `redact`."""
    return redact(address, query=True)


def list_remote(address: str, recursive: bool = False) -> RemotePictures:
    """List the pictures of a remote folder, or the one picture.

    An address that ends like a picture's name, and every one of a web server, is a picture's without asking.

    Args:
        address: The address of a folder or a picture.
        recursive: Whether the pictures in sub-folders belong to it.

    Returns:
        The folder's pictures, or `address` alone.

    Raises:
        SourceError: There is no such folder, or it has no pictures or cannot be listed.
        FerEdgeError: A package is missing, without which no such address can be read.
    """
    system, path = _open_system(address)
    scheme = _scheme(address)
    if scheme in SERVERS or _suffix(path) in SUFFIXES:
        return RemotePictures([address])
    try:
        if system.info(path)["type"] != "directory":
            return RemotePictures([address])
        entries = system.find(path, withdirs=True, detail=True) if recursive else system.ls(path, detail=True)
    except Exception as error:  # every store has a tree of exceptions of its own
        raise _cannot(address, "listed", error) from None
    entries = {each["name"]: each for each in (entries.values() if isinstance(entries, dict) else entries)}
    others: Counter[str] = Counter()
    addresses, hidden, folders = [], 0, 0
    for name in sorted(entries):
        inner = name[len(path) :].strip("/")
        if not inner or name.endswith("/") or (recursive and entries[name]["type"] == "directory"):
            continue  # the folder itself, or the empty object that stands for one
        if any(part.startswith(".") for part in inner.split("/")):
            hidden += 1
        elif entries[name]["type"] == "directory":
            folders += 1
        elif _suffix(name) not in SUFFIXES:
            others[printable(_suffix(name))] += 1
        else:
            addresses.append(f"{address.rstrip('/')}/{inner}")
    left_out = describe_left_out(others, hidden, folders)
    if not addresses:
        more = f": {left_out}" if left_out else ""
        raise SourceError(f"{redact(address)} holds no pictures ({', '.join(sorted(SUFFIXES))}){more}")
    return RemotePictures(addresses, left_out, True)


def fetch_picture(address: str, max_pixels: int = MAX_PIXELS) -> LoadedPicture:
    """Fetch and decode a picture; of an animation or several pages, the first one.

    Args:
        address: Its address, see `is_remote`.
        max_pixels: Largest width times height that is decoded; it also limits what is fetched.

    Returns:
        The picture.

    Raises:
        SourceError: It cannot be fetched, is no whole picture, or is too large.
        FerEdgeError: A package is missing.
    """
    return decode_picture(fetch(address, max_bytes(max_pixels)), redact(address), max_pixels)


def fetch(address: str, limit: int) -> bytes:
    """Fetch a file.

    Args:
        address: Its address, see `is_remote`.
        limit: Bytes at most.

    Returns:
        The whole content.

    Raises:
        SourceError: It cannot be fetched, or is larger.
        FerEdgeError: A package is missing.
    """
    system, path = _open_system(address)
    try:
        if _scheme(address) in SERVERS:
            data = _request(system, path, limit)
        else:
            data = system.cat_file(path, start=0, end=limit + 1)
    except MemoryError:
        raise SourceError(f"{redact(address)} cannot be fetched: there is not enough memory") from None
    except Exception as error:  # every store has a tree of exceptions of its own
        raise _cannot(address, "fetched", error) from None
    if len(data) > limit:
        raise SourceError(f"{redact(address)} has more than {limit} bytes, the limit for a picture (--max-pixels)")
    return data


def _request(system: Any, address: str, limit: int) -> bytes:
    """A file of a web server, up to one byte more than `limit`; what may pass is tried again."""
    import aiohttp

    for attempt in range(1, ATTEMPTS + 1):
        try:
            # with a size there is no request for it, and the server need not know of ranges
            with system.open(address, "rb", block_size=0, size=1) as answer:
                data = bytearray()
                while len(data) <= limit and (part := answer.read(READ_BYTES)):
                    data += part
                return bytes(data[: limit + 1])
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            status = getattr(error, "status", None)
            if attempt == ATTEMPTS or (isinstance(status, int) and status not in PASSING):
                raise
            time.sleep(RETRY_AFTER * attempt)
    raise AssertionError


def _open_system(address: str) -> tuple[Any, str]:
    """Fsspec's file system for an address, and the path in it. Raises SourceError, and FerEdgeError as `fetch`."""
    scheme = _scheme(address)
    try:
        import fsspec

        kind = fsspec.get_filesystem_class(scheme)
        options = kind._get_kwargs_from_urls(address)  # a container, a user; fsspec.core would split an address at ::
        return _system(scheme, tuple(sorted(options.items())), os.getpid()), kind._strip_protocol(address)
    except ImportError as error:
        raise FerEdgeError(f"{redact(address)}: {_missing(error)}") from None
    except Exception as error:
        raise _cannot(address, "opened", error) from None


@lru_cache(maxsize=64)
def _system(scheme: str, options: tuple[tuple[str, Any], ...], _: int) -> Any:
    """A file system that all threads of a process share, with its connections; fsspec would open one for each."""
    import fsspec
    import fsspec.config

    more: dict[str, Any] = {}
    if scheme in SERVERS:
        import aiohttp

        times = aiohttp.ClientTimeout(total=FETCH_TIMEOUT, sock_connect=CONNECT_TIMEOUT, sock_read=ANSWER_TIMEOUT)
        configured = fsspec.config.conf.get(scheme, {}).get("client_kwargs", {})
        more["client_kwargs"] = {"timeout": times, "trust_env": True, **configured}
    return fsspec.get_filesystem_class(scheme)(**dict(options), **more, skip_instance_cache=True)


def _missing(error: ImportError) -> str:
    """What to install, in words: fsspec names the package by what it failed to import."""
    from fer_edge.edge.device.installation import install_extra, pip_install  # here: every start would wait for it

    cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
    package = (cause.name or "").split(".")[0]
    if package in ("fsspec", "aiohttp", ""):
        return f"pictures in object storage and on web servers need fsspec and aiohttp: {install_extra('remote')}"
    name = {"azure": "adlfs"}.get(package, package)
    return f"fsspec needs {name} for this address: {pip_install(name)}"


def _cannot(address: str, what: str, error: Exception) -> SourceError:
    """One line for what a store or server answered."""
    status, message = getattr(error, "status", None), str(getattr(error, "message", None) or "")
    if isinstance(error, FileNotFoundError):
        cause = "there is no such file or folder"
    elif isinstance(error, TimeoutError):
        cause = "no answer in time"
    elif isinstance(status, int) and message:
        cause = f"the server answers {status} {shortened(message)}"
    else:
        cause = shortened(redact_text(str(error) or type(error).__name__), 200)
    if isinstance(error, PermissionError) or "credentials" in str(error).lower():
        cause += "; which credentials does the environment have?"
    return SourceError(f"{redact(address)} cannot be {what}: {cause}")


def _scheme(address: str) -> str:
    return address.partition("://")[0].lower()


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()
