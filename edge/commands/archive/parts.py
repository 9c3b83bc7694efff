"""A folder of results: one file for each chunk, and a manifest."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fer_edge.edge.commands.archive.chunks import Chunk, Shard
from fer_edge.edge.commands.archive.formats import encode
from fer_edge.edge.commands.archive.manifest import NAME, read_manifest, refuse_difference
from fer_edge.edge.commands.archive.records import Record
from fer_edge.edge.errors import SinkError
from fer_edge.edge.files.documents import write_json
from fer_edge.edge.files.writing import PART, make_folder, write_bytes


class PartFolder:
    """Writes parts, each of which is there as a whole or not at all, whatever ends the run.

    Attributes:
        missing: The shard's chunks whose parts are not there yet.
        kept: Number of its parts that were there.

    Args:
        folder: The folder; it is created.
        manifest: What the results are made from, see `make_manifest`.
        chunks: All chunks, of all shards.
        shard: Which of them are written here.
        resume: Whether parts that are there are kept.

    Raises:
        SinkError: The folder holds something else, results of another run, or, without `resume`, parts of this shard;
            or it cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        manifest: dict[str, Any],
        chunks: Sequence[Chunk],
        shard: Shard | None = None,
        resume: bool = False,
    ) -> None:
        self._folder, self._form, self._classes = folder, str(manifest["format"]), manifest["classes"]
        self._digits = max(5, len(str(len(chunks))))
        own = (shard or Shard()).of(chunks)
        try:
            make_folder(folder, private=True)
            names = {*os.listdir(folder)}
        except OSError as error:
            raise SinkError(f"--output: {folder} cannot be used: {error.strerror}") from None
        self.missing = [chunk for chunk in own if self.name(chunk) not in names]
        self.kept = len(own) - len(self.missing)
        self._begin(manifest, names, shard, resume)

    def name(self, chunk: Chunk) -> str:
        """The name of a chunk's part."""
        return f"part-{chunk.index:0{self._digits}d}.{self._form}"

    def write(self, chunk: Chunk, records: Sequence[Record]) -> None:
        """Write a part; SinkError where it cannot be written, and is not there then."""
        write_bytes(self._folder / self.name(chunk), encode(records, self._classes, self._form), private=True)

    def absent(self, chunks: Sequence[Chunk]) -> int:
        """How many parts of these chunks are not there now."""
        names = {*os.listdir(self._folder)}
        return sum(self.name(chunk) not in names for chunk in chunks)

    def _begin(self, manifest: dict[str, Any], names: set[str], shard: Shard | None, resume: bool) -> None:
        before = read_manifest(self._folder / NAME)
        if before is None:
            if {name for name in names if not name.startswith(PART)}:
                raise SinkError(f"--output: {self._folder} is not empty, and holds no results; give a new folder")
            write_json_once(self._folder / NAME, manifest)
            before = read_manifest(self._folder / NAME)
        elif not resume and shard is None and any(name.startswith("part-") for name in names):
            raise SinkError(f"--output: {self._folder} holds results; --resume adds to them, or give a new folder")
        assert before is not None
        refuse_difference(f"--output: {self._folder}", before, manifest)
        if self.kept and not resume:
            raise SinkError(f"--output: {self._folder} holds parts of this shard; --resume goes on after them")
        missing = {self.name(chunk) for chunk in self.missing}
        for name in names:
            match = re.fullmatch(f"{re.escape(PART)}\\d+-(.+)", name)
            if match is not None and match[1] in missing:  # what a killed run has left
                with suppress(OSError):
                    os.unlink(self._folder / name)


def write_json_once(path: Path, value: Any) -> None:
    """Write a JSON file unless another process, which may be doing the same, has written one by then."""
    temporary = path.with_name(f"{PART}{os.getpid()}-{os.uname().nodename}-{path.name}")
    write_json(temporary, value)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError:  # the file system has no links
        if not path.exists():
            os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()
