r"""Captions as a model should learn them: what is no word of the caption is taken out, and nothing else.

What is done, in this order and until nothing changes:

1. HTML entities are resolved, raised and lowered numbers (`10<sup>-3</sup>`) become characters of their own
   (10⁻³), and the other tags that journals use (`<italic>`, `<xref ...>`) are removed; a `<` before a number
   stays.
2. LaTeX as publishers leave it behind (`\documentclass ... \begin{document}$$5\times 10$$\end{document}`)
   becomes its characters.
3. Unicode is composed (NFC); compatibility characters that only look different (ligatures, wide letters,
   spaces of all widths) become the plain ones. Superscripts, subscripts and fractions stay: 10² is not 102.
4. Control characters, invisible ones and those without a meaning are removed.
5. Links (http, www, doi) are removed.
6. A reference to the figure itself at the start ("Fig. 1a.", "Figure 3:") is removed; one in a sentence
   ("Figure 1 shows") stays.
7. White space becomes one space, none stands before a comma or a full stop; brackets left empty are removed.
8. What a form says where nobody wrote a caption ("Replace this - DESCRIPTION ...", "n/a") becomes empty.

Letters keep their case, numbers and units are not touched.
"""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata

LONGEST = 20_000
"""Characters of a caption; what comes after them is cut off."""
_LEAST_WORDS = 8
_ROUNDS = 12

_TAGS = (
    "a|b|bold|br|caption|em|ext-link|fig|font|formula|graphic|i|italic|label|li|list|list-item|mml:[a-z]+|"
    "monospace|named-content|p|sans-serif|sc|span|strong|styled-content|sub|sup|title|tt|u|ul|underline|uri|"
    "xref"
)
_TAG = re.compile(rf"</?(?:{_TAGS})(?:\s[^<>]{{0,300}})?/?>", re.IGNORECASE)
_RAISED = re.compile(r"<sup>\s*([-−+]?\d{1,3})\s*</sup>|\^\{([-−+]?\d{1,3})\}", re.IGNORECASE)
_LOWERED = re.compile(r"<sub>\s*(\d{1,3})\s*</sub>|_\{(\d{1,3})\}", re.IGNORECASE)
_UP = str.maketrans("-−+0123456789", "⁻⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹")
_DOWN = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_LINK = re.compile(
    r"[(\[]?\s*(?:https?://|ftp://|www\.)[^\s()\[\]<>]+[)\]]?|\bdoi:\s*10\.\d{4,9}/[^\s()\[\]<>]+",
    re.IGNORECASE,
)
_FIGURE = re.compile(
    r"(?:(?:supplementary|suppl\.?|extended\s+data)\s+)?"
    r"(?:fig(?:ure|s|ures)?|abb(?:ildung)?|figura|şekil|plate|image)\s*\.?\s*"
    r"s?\d{1,3}\s?(?:[a-h](?![a-z])(?:\s?[-–,&]\s?[a-h](?![a-z]))*)?"
    r"(?:\s*[.:;|)\]–—-]+\s*|\s+(?=[A-ZÇĞİÖŞÜ(\[\"“])|\s*$)",
    re.IGNORECASE,
)
_EMPTY = re.compile(r"[(\[{]\s*[)\]}]")
_SPACES = re.compile(r"\s+")
_BEFORE_MARK = re.compile(r" +([,;.])(?=\s|$)")
_PLACEHOLDER = re.compile(
    r"\W*(?:replace this\b.*|lorem ipsum\b.*|(?:no (?:caption|description)|(?:caption )?not)"
    r"(?: available| given)|no caption|n\W?a|none|null|nan|untitled|tbd)\W*",
    re.IGNORECASE | re.DOTALL,
)
_WORD = re.compile(r"[^\W_]+")

_PREAMBLE = re.compile(
    r"\\documentclass(?:\[[^\]]{0,80}\])?\{[^{}]{0,80}\}.{0,2000}?\\begin\{document\}(.{0,2000}?)\\end\{document\}",
    re.DOTALL,
)
_COMMAND = re.compile(r"\\(?:([A-Za-z]+) ?|([%&#$_{} ,;!]))")
_WRAPPED = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt)?|math(?:rm|bf|it|sf|tt|cal)|emph|hbox|mbox|operatorname)\s*\{([^{}]*)\}"
)
_INLINE = re.compile(r"\$\$?([^$]{1,200}?)\$\$?")
_SYMBOLS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "theta": "θ", "kappa": "κ",
    "lambda": "λ", "mu": "μ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "chi": "χ",
    "psi": "ψ", "omega": "ω", "Delta": "Δ", "Sigma": "Σ", "Omega": "Ω", "times": "×", "cdot": "·", "pm": "±",
    "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥", "approx": "≈", "sim": "~", "neq": "≠", "circ": "°",
    "degree": "°", "rightarrow": "→", "to": "→", "leftarrow": "←", "uparrow": "↑", "downarrow": "↓",
    "infty": "∞", "percent": "%", "ldots": "...", "dots": "...", "quad": " ",
}  # fmt: skip


def clean_caption(text: str) -> str:
    """The caption without what is none of its words; cleaning it again changes nothing."""
    text = text[:LONGEST]
    for _ in range(_ROUNDS):
        before = text
        text = _once(text)
        if text == before:
            break
    return "" if _PLACEHOLDER.fullmatch(text) else text


def _once(text: str) -> str:
    text = html.unescape(text)
    text = _RAISED.sub(lambda found: (found.group(1) or found.group(2)).translate(_UP), text)
    text = _LOWERED.sub(lambda found: (found.group(1) or found.group(2)).translate(_DOWN), text)
    text = _TAG.sub(" " if "<br" in text.lower() else "", text)
    text = _without_latex(text)
    text = "".join(map(_plain, unicodedata.normalize("NFC", text)))
    text = _LINK.sub(" ", text)
    text = _SPACES.sub(" ", text).strip()
    text = _without_figure(text)
    text = _EMPTY.sub(" ", text)
    text = _SPACES.sub(" ", text).strip()
    return _BEFORE_MARK.sub(r"\1", text)


def _without_figure(text: str) -> str:
    while (found := _FIGURE.match(text)) is not None:
        # "Figure 1 shows": without a mark behind the number, only a capital begins the caption itself.
        rest = text[found.end() :]
        if found.group()[-1:].isspace() and rest[:1].islower() and found.group()[-2:-1].isalnum():
            break
        text = rest
    return text


def _without_latex(text: str) -> str:
    if "\\" not in text and "$" not in text:
        return text
    text = _PREAMBLE.sub(lambda found: f" {found.group(1)} ", text)
    if "\\" not in text:
        return text
    # A dollar is money unless what it encloses is a formula.
    text = _INLINE.sub(
        lambda found: _characters(found.group(1)) if "\\" in found.group(1) else found.group(), text
    )
    return _characters(text)


def _characters(formula: str) -> str:
    return _COMMAND.sub(_character, _WRAPPED.sub(r"\1", formula))


def _character(found: re.Match[str]) -> str:
    word, mark = found.groups()
    if word is None:
        return " " if mark in " ,;!" else str(mark)
    return _SYMBOLS.get(word, found.group())


def _plain(char: str) -> str:
    """A character in its plain form; nothing where it cannot be seen."""
    if char < "\x7f":
        return char if char >= " " else " " if char in "\t\n\r\v\f" else ""
    category = unicodedata.category(char)
    if category in {"Zs", "Zl", "Zp"} or char == "\x85":
        return " "
    if category in {"Cc", "Cf", "Cs", "Co", "Cn"} or char == "\ufffd":
        return ""
    form = unicodedata.decomposition(char)
    if form.startswith(("<compat>", "<wide>", "<narrow>", "<font>", "<noBreak>")):
        plain = unicodedata.normalize("NFKC", char)
        # A mark that would stand on a space of its own stays as it is: ´ is no space with an accent.
        return char if plain.startswith(" ") else plain
    return char


def caption_print(caption: str) -> int:
    """64 bits that captions of the same words share, whatever case and marks; 0 under 8 words."""
    words = _WORD.findall(caption.casefold())
    if len(words) < _LEAST_WORDS:
        return 0
    digest = hashlib.blake2b(" ".join(words).encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def word_count(caption: str) -> int:
    return len(caption.split())
