"""A hunspell dictionary with numbered suffixes, such as the Turkish one of LibreOffice (hunspell(5))."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tetkik.errors import SettingError


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Stems with the numbers of the suffixes that they take; a number of a suffix stands between commas."""

    stems: dict[str, str]
    suffixes: dict[str, tuple[str, ...]]

    def knows(self, word: str) -> bool:
        """Whether it is a stem, or one with a suffix that it takes."""
        if word in self.stems:
            return True
        for place in range(len(word) - 1, 0, -1):
            taken, numbers = self.stems.get(word[:place]), self.suffixes.get(word[place:])
            if taken and numbers and any(number in taken for number in numbers):
                return True
        return False


def read_dictionary(file: Path) -> Dictionary:
    """A dictionary `tr_TR.dic` with its `tr_TR.aff`; suffixes that change the stem are left out.

    Raises:
        SettingError: the files cannot be read, or their flags are no numbers.
    """
    stems: dict[str, str] = {}
    suffixes: dict[str, tuple[str, ...]] = {}
    try:
        with file.with_suffix(".aff").open(encoding="utf-8") as lines:
            for line in lines:
                parts = line.split()
                if len(parts) == 5 and parts[0] == "SFX" and parts[2] == "0":
                    suffixes[parts[3]] = (*suffixes.get(parts[3], ()), f",{int(parts[1])},")
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                stem, _, flags = line.strip().partition("/")
                stems[stem] = stems.get(stem, ",") + (flags + "," if flags else "")
    except (OSError, ValueError) as error:
        raise SettingError(
            "The dictionary {file} cannot be read ({fault}); correct the setting spelling_dictionary.",
            file=file,
            fault=error,
        ) from None
    return Dictionary(stems, suffixes)
