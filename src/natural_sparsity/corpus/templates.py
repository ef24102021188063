"""What MediaWiki templates show, where it is part of a sentence and simple to tell.

Names are those of the English Wikipedia. Every other template is dropped. Arguments are given as text: the templates
and links in them have been replaced by what they show.
"""

import re
from collections.abc import Callable

from natural_sparsity.corpus.links import LANGUAGES

Arguments = dict[str, str]

# Apostrophes are entities, since two of them would be taken for italics.
CHARACTERS = {
    "'": "&#39;", "'s": "&#39;s", "' \"": "&#39;&nbsp;\"", "\" '": "\"&nbsp;&#39;", "'\"": "&#39;\"", "\"'": "\"&#39;",
    "nbsp": " ", "spaces": " ", "thinsp": " ", "thin space": " ", "hairsp": " ", "·": "·", "=": "&#61;",
    "ndash": "–", "mdash": "—", "snd": " – ", "spnd": " – ", "spaced ndash": " – ", "en dash": "–", "em dash": "—",
    "–": "–", "—": "—", "minus": "−", "times": "×", "deg": "°", "mdashb": "—", "ndashb": "–",
    "dot": " · ", "middot": " · ", "•": " · ", "bull": " · ",
}  # fmt: skip
# What is shown before the first argument.
PREFIXES = {
    "us$": "US$", "usd": "US$", "gbp": "£", "£": "£", "pound sterling": "£", "eur": "€", "€": "€", "euro": "€",
    "jpy": "¥", "¥": "¥", "inr": "₹", "₹": "₹", "a$": "A$", "aud": "A$", "au$": "A$", "c$": "C$", "cad": "C$",
    "ca$": "C$", "nz$": "NZ$", "nzd": "NZ$", "hk$": "HK$", "hkd": "HK$", "e": "×10^", "radic": "√", "sqrt": "√",
    "uss": "USS ", "hms": "HMS ", "hmas": "HMAS ", "hmcs": "HMCS ", "rms": "RMS ", "ss": "SS ",
}  # fmt: skip
FORMATNUM = "formatnum:"
# Between the numbers of {{convert|10|to|20|km}}; (-) behind one shows the unit twice.
RANGES = {"to", "and", "or", "by", "x", "×", "-", "–", "+/-"}
# Units that go on with a smaller one, as in {{convert|5|ft|10|in|m}}.
SMALLER_UNITS = {
    "mi": {"yd", "ft", "furlong", "ch"}, "furlong": {"yd", "ch"}, "ch": {"yd", "ft"}, "yd": {"ft", "in"},
    "ft": {"in"}, "km": {"m"}, "m": {"cm"}, "LT": {"cwt"}, "cwt": {"lb"}, "st": {"lb"}, "lb": {"oz"}, "kg": {"g"},
    "gal": {"qt", "pt"}, "qt": {"pt"}, "pt": {"oz"}, "h": {"min"}, "min": {"s"},
}  # fmt: skip
# Units whose code is no word: a power of ten, or a letter, before another unit.
POWERS = {
    "e3": "thousand", "e6": "million", "e9": "billion", "e12": "trillion",
    "k": "thousand", "M": "million", "G": "billion", "T": "trillion",
}  # fmt: skip
POWER = re.compile(r"(e3|e6|e9|e12)([A-Za-z].*)")
MULTIPLE = re.compile(r"([kMGT])(oilbbl.*|cuft.*|USgal.*|impgal.*)")
UNIT_NAMES = {
    "oilbbl": "barrels", "oilbbl/d": "barrels/d", "cuft": "cu ft", "cuft/d": "cu ft per day", "USgal": "US gal",
    "impgal": "imp gal", "PD/sqmi": "people per square mile", "PD/km2": "people per square kilometre",
    "C-change": "°C", "F-change": "°F",
}  # fmt: skip
MONTHS = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
]  # fmt: skip


def show(content: str) -> str | None:
    """Return what ``{{content}}`` shows in the running text, or None if it is dropped."""
    name, bar, rest = content.partition("|")
    name = " ".join(name.replace("_", " ").split()).lower().removeprefix("template:")
    if name in CHARACTERS:
        return CHARACTERS[name]
    if name.startswith(FORMATNUM):
        return _group_digits(name.removeprefix(FORMATNUM).strip())
    show_arguments = SHOWN.get(name)
    if show_arguments is None:
        return None
    shown = show_arguments(split_arguments(rest) if bar else {})
    return shown if shown and shown.strip() else None


def split_arguments(text: str) -> Arguments:
    """Return the arguments of a template by their names; those without one are numbered from 1."""
    arguments: Arguments = {}
    number = 0
    for part in text.split("|"):
        name, equals, value = part.partition("=")
        if equals:
            arguments[name.strip()] = value.strip()
        else:
            number += 1
            arguments[str(number)] = part
    return arguments


def _values(arguments: Arguments) -> list[str]:
    """Return the numbered arguments, up to the first that is missing or empty."""
    values: list[str] = []
    while value := arguments.get(str(len(values) + 1), "").strip():
        values.append(value)
    return values


def _group_digits(number: str) -> str | None:
    """1234.5678: 1,234.5678; None if this is not a number."""
    parts = re.fullmatch(r"([-−+]?)(\d{1,40})(\.\d+)?", number)
    if not parts:
        return None
    return parts[1] + re.sub(r"(?<=\d)(?=(?:\d{3})+$)", ",", parts[2]) + (parts[3] or "")


def _first(arguments: Arguments) -> str | None:
    return arguments.get("1")


def _second(arguments: Arguments) -> str | None:
    return arguments.get("2")


def _last(arguments: Arguments) -> str | None:
    return next(reversed(_values(arguments)), None)


def _join(arguments: Arguments) -> str:
    """{{chem|H|2|O}}: H2O; {{gaps|1|234}}: 1234."""
    return "".join(_values(arguments))


def _prefix(prefix: str) -> Callable[[Arguments], str | None]:
    """{{US$|5 million}}: US$5 million."""

    def show_with_prefix(arguments: Arguments) -> str | None:
        argument = arguments.get("1", "")
        return prefix + argument.strip() if re.search(r"\w", argument) else None

    return show_with_prefix


def _convert(arguments: Arguments) -> str | None:
    """Return what is to be converted.

    {{convert|10|km|mi}}: 10 km; {{convert|10|to|20|km|mi}}: 10 to 20 km; {{convert|5|ft|10|in|m}}: 5 ft 10 in.
    """
    values = _values(arguments)
    if len(values) < 2 or not re.search(r"\d", values[0]):
        return None
    shown = [re.sub(r"(?<=\d)\+(?=\d)", " ", values[0])]  # 5+1/2
    i = 1
    while (word := re.sub(r"\(-?\)$", "", values[i])) in RANGES and i + 2 < len(values):
        shown += [word, values[i + 1]]
        i += 2
    shown.append(_name_unit(word))
    while i + 2 < len(values) and values[i + 2] in SMALLER_UNITS.get(values[i], ()) and values[i + 1][0].isdigit():
        shown += values[i + 1 : i + 3]
        i += 2
    return " ".join(shown)


def _name_unit(code: str) -> str:
    """Write a unit of {{convert}} as it is shown: e6acre is million acre, koilbbl/d thousand barrels per day."""
    unit = UNIT_NAMES.get(code, code)
    match = POWER.fullmatch(unit) or MULTIPLE.fullmatch(unit)
    if match:
        unit = f"{POWERS[match[1]]} {UNIT_NAMES.get(match[2], match[2])}"
    return unit.replace("/d", " per day") if "barrels" in unit else unit


def _height(arguments: Arguments) -> str:
    """{{height|ft=5|in=10}}: 5 ft 10 in."""
    return " ".join(f"{arguments[unit]} {unit}" for unit in ("m", "cm", "ft", "in") if arguments.get(unit))


def _frac(arguments: Arguments) -> str:
    """{{frac|2}}: 1/2; {{frac|2|3}}: 2/3; {{frac|1|2|3}}: 1 2/3."""
    values = _values(arguments)
    return ("", "1/{}", "{}/{}", "{} {}/{}")[min(len(values), 3)].format(*values)


def _val(arguments: Arguments) -> str | None:
    """{{val|1234.5|0.2|e=3|u=km}}: 1,234.5±0.2×10^3 km."""
    number, *error = _values(arguments) or [""]
    shown = _group_digits(number) or number
    if not shown:
        return None
    if error:
        shown += error[0] if error[0].startswith("(") else f"±{error[0]}"
    if arguments.get("e"):
        shown += f"×10^{arguments['e']}"
    unit = arguments.get("u") or arguments.get("ul")
    return f"{shown} {unit}" if unit else shown


def _number(arguments: Arguments) -> str | None:
    return _group_digits(arguments.get("1", "").strip())


def _ordinal(arguments: Arguments) -> str | None:
    """{{ordinal|22}}: 22nd."""
    number = arguments.get("1", "").strip()
    if not re.fullmatch(r"[0-9]+", number):
        return None
    return number + ("th" if number[-2:-1] == "1" else {"1": "st", "2": "nd", "3": "rd"}.get(number[-1], "th"))


def _circa(arguments: Arguments) -> str:
    """{{circa}}: c.; {{circa|1900|1910}}: c. 1900 – c. 1910."""
    return " – ".join(f"c. {value}" for value in _values(arguments)) or "c."


def _floruit(arguments: Arguments) -> str:
    """{{floruit|1900|1910}}: fl. 1900–1910."""
    return f"fl. {'–'.join(_values(arguments))}"


def _as_of(arguments: Arguments) -> str | None:
    """{{as of|2013|3|15}}: As of 15 March 2013; {{as of|2013|alt=in 2013}}: in 2013."""
    date = _values(arguments)[:3]
    if arguments.get("alt") or not date:
        return arguments.get("alt")
    if len(date) > 1 and re.fullmatch(r"0?[1-9]|1[0-2]", date[1]):
        date[1] = MONTHS[int(date[1]) - 1]
    words = "since" if arguments.get("since") else "as of"
    return " ".join([words if arguments.get("lc") else words.capitalize(), *reversed(date)])


def _interlanguage(arguments: Arguments) -> str | None:
    """{{ill|a title|de|ein Titel}}, formerly {{ill|de|a title|ein Titel}}: a title."""
    first = arguments.get("1", "").strip()
    return arguments.get("lt") or (arguments.get("2") if first in LANGUAGES else first)


def _sic(arguments: Arguments) -> str:
    """{{sic|beleived}}: beleived; {{sic|hel|lo}}: hello."""
    return "".join(_values(arguments)[:2])


SHOWN: dict[str, Callable[[Arguments], str | None]] = {
    **dict.fromkeys(("nowrap", "nobr", "nwr", "no wrap", "small", "smaller", "big", "larger", "nobold"), _first),
    **dict.fromkeys(("noitalic", "em", "strong", "underline", "sub", "sup", "sc", "smallcaps", "abbr"), _first),
    **dict.fromkeys(("tooltip", "vanchor", "visible anchor", "angbr", "angle bracket", "code", "mono"), _first),
    **dict.fromkeys(("kbd", "samp", "keypress", "var", "mvar", "math", "chem2", "nihongo", "unicode"), _first),
    **dict.fromkeys(("polytonic", "iast", "not a typo", "as written"), _first),
    **dict.fromkeys(("lang", "rtl-lang", "script"), _second),
    **dict.fromkeys(("transl", "transliteration", "resize", "color"), _last),
    **dict.fromkeys(("chem", "gaps", "linktext"), _join),
    **{name: _prefix(prefix) for name, prefix in PREFIXES.items()},
    **dict.fromkeys(("convert", "cvt"), _convert),
    "height": _height,
    **dict.fromkeys(("frac", "sfrac", "fraction"), _frac),
    "val": _val,
    **dict.fromkeys(("nts", "formatnumber"), _number),
    **dict.fromkeys(("ordinal", "ord"), _ordinal),
    **dict.fromkeys(("circa", "c.", "ca", "ca."), _circa),
    **dict.fromkeys(("floruit", "fl."), _floruit),
    "as of": _as_of,
    **dict.fromkeys(("ill", "interlanguage link"), _interlanguage),
    "sic": _sic,
}
