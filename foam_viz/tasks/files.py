"""What a task reads from a user's disk: the settings that name it, and its text. Imports no torch.

Such settings are local: they belong to the command line and to library use. A link or a page carries them only for
uploads (``tasks.uploads``), or anybody with a link could have a server read its own files.
"""

from __future__ import annotations

from dataclasses import dataclass

from foam_viz.optim.fields import NONE_TEXT, Field, FieldError
from foam_viz.tasks import uploads

MAXIMUM_BYTES = 20_000_000


@dataclass(frozen=True, kw_only=True)
class TextField(Field):
    """A setting that is free text, such as a path or the name of a column; None stands for the task's own choice."""

    kind: str = "text"
    default: str | None = None
    optional: bool = True

    def allowed(self) -> str:
        """In words, what a value may be."""
        return f"text of one line, or {NONE_TEXT}"

    def check(self, value: object) -> str | None:
        """The text without blanks round it.

        Raises:
            FieldError: It is no text, empty, or more than one line.
        """
        if value is None:
            return None
        if isinstance(value, str) and value.strip() and value.isprintable():
            return value.strip()
        raise FieldError(self.name, value, self.allowed())

    def parse(self, text: str) -> str | None:
        """Reads the value from text."""
        return None if text.strip().lower() == NONE_TEXT else self.check(text)


@dataclass(frozen=True, kw_only=True)
class FileField(TextField):
    """A setting that names a file: its path, or an upload (``tasks.uploads``).

    Attributes:
        ending: Of the names of such files, without the dot.
    """

    ending: str


def read_text(field: str, path: str) -> str:
    r"""The text of a file in UTF-8, line ends as ``\n``.

    Raises:
        FieldError: The file is missing, too large or not UTF-8; ``field`` is blamed.
    """
    place = uploads.path_of(field, path)
    try:
        if not place.is_file():
            raise FieldError(field, path, "the path of a file; there is none at this path")
        size = place.stat().st_size
        if size > MAXIMUM_BYTES:
            limit = MAXIMUM_BYTES // 1_000_000
            raise FieldError(field, path, f"a file of at most {limit} MB, this one has {size / 1e6:.1f}: cut it")
        return place.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        words = f"a text in UTF-8; byte {error.start} is not: save it in that encoding"
        raise FieldError(field, path, words) from None
    except OSError as error:
        raise FieldError(field, path, f"a file that can be read ({error.strerror})") from None
