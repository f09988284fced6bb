"""Encodings of files: find the likely ones, and read any of them as UTF-8."""

import codecs
import io
import re
from collections.abc import Iterator
from functools import cache
from typing import BinaryIO

from charset_normalizer import from_bytes

from textmix.data.readers.common import file_stamp, opened
from textmix.data.reading import AUTO
from textmix.errors import listed

_UTF8, _WESTERN = "utf-8", "cp1252"
# What tables are written in today: the encodings of the WHATWG standard that Python has. More make more confusions.
_USUAL = [
    *("cp1252", "gb18030", "big5", "shift_jis", "cp932", "euc_jp", "euc_kr", "cp949", "cp1250", "cp1251", "cp1253"),
    *("cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874", "cp866", "koi8_r", "koi8_u", "mac_roman"),
    *("iso8859_2", "iso8859_5", "iso8859_7", "iso8859_15"),
]
_LATIN = {"cp1250", "cp1252", "cp1254", "cp1257", "cp1258", "iso8859_2", "iso8859_15", "mac_roman"}
# Encodings of the same texts that are named, too, because users know them by these names.
_ALSO = {"gb18030": ("gbk",), "cp1252": ("latin-1",)}
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_BLOCK, _SAMPLE, _SHOWN = 1 << 16, 1 << 18, 4
# Matches that differ by less in their scores, which lie between 0 and 1, could both be meant.
_TIE = 0.05


def opened_as_utf8(file: str, encoding: str) -> BinaryIO:
    """Open a file like `opened`, with its text as bytes of UTF-8.

    Args:
        file: Name of the file.
        encoding: Its encoding, or `auto`.

    Raises:
        UnicodeDecodeError: While reading, if the text is in another encoding; UTF-8 itself is not checked.
    """
    encoding = encoding_of(file, encoding)
    stream = opened(file)
    if codecs.lookup(encoding).name in (_UTF8, "utf-8-sig", "ascii"):
        return stream
    return io.BufferedReader(_Recoded(stream, encoding), _BLOCK)


def encoding_of(file: str, encoding: str) -> str:
    """Return the encoding of a file: the one given, or the likeliest if that is `auto`."""
    return _likely(file, file_stamp([file]))[0] if encoding == AUTO else encoding


def explain_encoding(files: list[str], encoding: str) -> str | None:
    """Say in one line which file has another encoding, and which it could have; None if all can be decoded."""
    for file in files:
        given = encoding_of(file, encoding)
        bad = _first_undecodable(file, given)
        if bad is not None:
            name = "UTF-8" if codecs.lookup(given).name == _UTF8 else given
            fitting = _likely(file, file_stamp([file]))
            shown = [other for found in fitting[:_SHOWN] for other in (found, *_ALSO.get(found, ()))]
            advice = f"it could be {listed(shown)}: add --data.encoding {fitting[0]}, or --data.encoding auto"
            return f"{file}: line {bad[0]} is not {name} ({bad[1]}); {advice}"
    return None


class _Recoded(io.RawIOBase):
    """The text of a stream as bytes of UTF-8.

    Args:
        stream: Bytes in any encoding; closed with this object.
        encoding: The encoding.
    """

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._rest = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # of typeshed's Buffer
        """Read bytes into a buffer; returns their number, 0 at the end."""
        block = b" "
        while not self._rest and block:
            block = self._stream.read(_BLOCK)
            self._rest = self._decoder.decode(block, final=not block).encode()
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """Close the stream, too."""
        self._stream.close()
        super().close()


@cache
def _likely(file: str, stamp: str) -> list[str]:
    """Return the encodings that a file could have, the likeliest first; `stamp` tells a changed file."""
    with opened(file) as stream:
        head = stream.read(_BLOCK)
    marked = [name for mark, name in _MARKS.items() if head.startswith(mark)]
    if marked:
        return marked[:1]
    if b"\0" in head:  # UTF-16 without a mark
        guesses = ["utf-16-be" if head[::2].count(0) > head[1::2].count(0) else "utf-16-le"]
    elif _first_undecodable(file, _UTF8) is None:
        return [_UTF8]
    else:
        guesses = _guesses(_sample(file))
    fitting = [name for name in dict.fromkeys(guesses) if _first_undecodable(file, name) is None]
    return fitting or ["latin-1"]  # which any bytes are


def _sample(file: str) -> bytes:
    """Return the first lines that are not ASCII; the others would only dilute them."""
    found: list[bytes] = []
    size = 0
    with opened(file) as stream:
        for line in _lines(stream):
            if not line.isascii():
                found.append(line)
                size += len(line)
            if size > _SAMPLE:
                break
    return b"".join(found)


def _guesses(sample: bytes) -> list[str]:
    """Return likely encodings; among those of Latin letters cp1252 comes first, unless another fits better.

    Where no two bytes beyond ASCII stand side by side, as in prices in pounds, no others are believed.
    """
    matches = list(from_bytes(sample, cp_isolation=_USUAL))
    if not matches:
        return []
    best = matches[0]
    names = [match.encoding for match in matches if match.chaos - best.chaos < _TIE]
    western = from_bytes(sample, cp_isolation=[_WESTERN], threshold=1.0).best()
    alone = re.search(rb"[\x80-\xff]{2}", sample) is None
    coherence = western.coherence if western is not None else 0.0 if alone else -1.0
    tied = best.coherence - coherence < _TIE
    return [_WESTERN, *names] if tied and (alone or best.encoding in _LATIN) else names


def _first_undecodable(file: str, encoding: str) -> tuple[int, str] | None:
    """Return the number and the error of the first line that is in another encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    number = 0
    with opened(file) as stream:
        try:
            for number, line in enumerate(_lines(stream), start=1):  # noqa: B007  # used after the loop
                decoder.decode(line)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            return number, error.reason
    return None


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield lines, cut where they are longer than a block."""
    while line := stream.readline(_BLOCK):
        yield line
