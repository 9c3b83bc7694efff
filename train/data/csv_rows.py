"""The lines and cells of a CSV file, plain or compressed, within limits: a small file may unpack to gigabytes."""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from fer_edge.edge.errors import DataError, shortened

MAX_LINE = 1 << 20
"""Bytes of a line; a row of FER2013 has up to 9,300."""

MAX_BLANK = 10_000
"""Empty lines in a row."""

MAX_RATIO, FREE_BYTES = 100, 16 << 20
"""How many times its size, besides 16 MiB, a compressed file may unpack to; FER2013's CSV unpacks to 3.3 times."""

DELIMITERS = ",;\t|"

# zipfile raises a RuntimeError for what is encrypted
UNREADABLE = (OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, RuntimeError, UnicodeDecodeError)
"""What reading a damaged file raises."""


@contextmanager
def open_lines(path: Path, progress: Callable[[int], object] = lambda place: None) -> Iterator[Iterator[bytes]]:
    """Read a CSV file line by line.

    Args:
        path: The file, plain or compressed (.gz, .xz, .zip).
        progress: Is called with the place in the file, in bytes, after each line.

    Yields:
        The lines, decompressed and with their ends; the first one without a byte order mark. They raise DataError
        beyond a limit, and for damage one of UNREADABLE.

    Raises:
        DataError: A .zip holds no CSV.
    """
    with path.open("rb") as raw, _decompressed(path, raw) as stream:
        yield _lines(path, raw, stream, progress)


def _lines(
    path: Path, raw: BinaryIO, stream: BinaryIO | io.BufferedReader, progress: Callable[[int], object]
) -> Iterator[bytes]:
    number = total = blank = 0
    while line := stream.readline(MAX_LINE + 1):
        number, total = number + 1, total + len(line)
        if len(line) > MAX_LINE:
            raise DataError(f"{path}, row {number} is longer than {MAX_LINE >> 10} KiB; expected a line per picture")
        if stream is not raw and total > FREE_BYTES + MAX_RATIO * raw.tell():
            raise DataError(f"{path} unpacks to more than {MAX_RATIO} times its size; unpack it first if that is right")
        blank = 0 if line.strip() else blank + 1
        if blank > MAX_BLANK:
            raise DataError(f"{path}, row {number} is the {blank}th empty one in a row; expected a line per picture")
        progress(raw.tell())
        yield line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _only_csv(path: Path, names: Sequence[str]) -> str:
    """The CSV in a zip file with these names; DataError where it is not clear which one is meant."""
    tables = [name for name in names if name.lower().endswith(".csv") and not name.startswith("__MACOSX/")]
    if not tables:
        raise DataError(f"{path} holds no .csv file; expected a CSV of labelled faces inside")
    named = [name for name in tables if "fer2013.csv" in name.lower()] or tables
    if len(named) > 1:
        raise DataError(f"{path} holds {len(named)} .csv files ({shortened(', '.join(named))}); unpack it and name one")
    return named[0]


@contextmanager
def _decompressed(path: Path, raw: BinaryIO) -> Iterator[BinaryIO | io.BufferedReader]:
    """The bytes of the CSV in an open file."""
    suffix = path.suffix.lower()
    if suffix == ".zip":
        with zipfile.ZipFile(raw) as archive:
            member = _only_csv(path, archive.namelist())
            with archive.open(member) as stream:
                yield io.BufferedReader(cast(io.RawIOBase, stream), 1 << 20)  # it has readinto
    elif suffix == ".gz":
        with gzip.open(raw) as stream:
            yield io.BufferedReader(cast(io.RawIOBase, stream), 1 << 20)
    elif suffix == ".xz":
        with lzma.open(raw) as stream:
            yield io.BufferedReader(cast(io.RawIOBase, stream), 1 << 20)
    else:
        yield raw


class Columns:
    """Where the wanted columns are in a CSV file's rows.

    Attributes:
        names: The file's columns in lower case.
        wanted: The wanted ones among them, '' for one that is missing.
        delimiter: What separates them.
    """

    def __init__(self, path: Path, header: bytes, wanted: Sequence[Sequence[str]]) -> None:
        """Find the columns.

        Args:
            path: The file, for errors.
            header: Its first line.
            wanted: For each column, its possible names in lower case; the last one is '' where it may be missing.

        Raises:
            DataError: A column is missing, or there twice, or the line is not text in UTF-8.
        """
        expected = " and ".join("|".join(name for name in names if name) for names in wanted if "" not in names)
        try:
            text = header.decode("utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{path} is not text in UTF-8; expected a CSV with the columns {expected}") from None
        for self.delimiter in DELIMITERS:
            try:
                self.names = [name.lower() for name in split_cells(text, self.delimiter)]
            except ValueError:
                self.names = []
            if all("" in names or set(names) & set(self.names) for names in wanted):
                break
        else:
            raise DataError(f"{path}: the header is '{shortened(text)}'; expected the columns {expected}")
        found = [[name for name in self.names if name in names and name] for names in wanted]
        several = next((names for names in found if len(names) > 1), None)
        if several:
            what = f"{several[0]} twice" if several[0] == several[1] else f"{several[0]} and {several[1]}"
            raise DataError(f"{path}: the header has the column {what}; expected one of them")
        self.wanted = [names[0] if names else "" for names in found]
        self._order = [self.names.index(name) if name else None for name in self.wanted]

    def cells(self, line: bytes) -> list[str]:
        """The wanted columns' cells of a row, '' for a missing column; ValueError says what is wrong with the row."""
        text = line.decode("utf-8", "surrogateescape")  # a path may have any bytes
        cells = split_cells(text, self.delimiter)
        count = len(self.names)
        if len(cells) < count or any(cells[count:]):
            raise ValueError(f"{len(cells)} columns, expected {count}")
        return ["" if index is None else cells[index] for index in self._order]


def split_cells(line: str, delimiter: str) -> list[str]:
    """Split a line of CSV; a cell in quotes may hold the delimiter. ValueError where a quote is not closed."""
    if '"' not in line:
        return [cell.strip() for cell in line.split(delimiter)]
    try:
        (cells,) = csv.reader([line.strip("\r\n")], delimiter=delimiter, skipinitialspace=True, strict=True)
    except csv.Error as error:
        raise ValueError(f"its quotes do not fit ({error})") from None
    return [cell.strip() for cell in cells]
