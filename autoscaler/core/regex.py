"""Go's regular expressions, as ConfigMaps hold them, compiled for Python's engine.

The two dialects differ in what they take and in what some signs mean; what Go
would refuse is refused here too, so that a map means the same to both
autoscalers. Only whether something matches is promised, not where.
Source: pkg.go.dev/regexp/syntax
"""

from __future__ import annotations

import re

_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7f", "blank": r"\t ", "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r"\t\n\v\f\r ",
    "upper": "A-Z", "word": r"\w", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_TOKEN = re.compile(
    r"""
    \\Q(?P<quoted>.*?)(?:\\E|$) | \\x\{(?P<hex>[0-9A-Fa-f]{1,6})\} | \\(?P<escape>.)
    | \[(?P<negated>\^?)(?P<members>\]?(?:\[:\^?[a-z]+:\]|\\.|[^\]\\])*)\]
    | \((?P<named>\?P?<(?P<name>[A-Za-z0-9_]+)>) | \(\?(?P<flags>[imsU]*(?:-[imsU]+)?)(?P<after>[:)])
    | (?P<open>\((?!\?)) | (?P<close>\)) | (?P<or>\|) | (?P<end>\$)
    | (?P<repeat>(?:[*+?]|\{(?P<least>\d+)(?:,(?P<most>\d*))?\})\??)(?P<nested>[*+?]?)
    | (?P<brace>\{) | (?P<plain>[^\\\[()|$*+?{])
    """,
    re.VERBOSE | re.DOTALL,
)
_MEMBER = re.compile(r"\[:(?P<not>\^?)(?P<posix>[a-z]+):\]|(?P<escape>\\.)|(?P<plain>.)", re.DOTALL)
_ESCAPES = frozenset("AbBdDsSwWafnrtvx")  # letters that mean the same to both
_MOST_REPEATS = 1000
_MOST_IN_A_ROW = 4  # repetitions in an expression that may take the square of the square of a name's length


class RegexError(ValueError):
    """Go would refuse the expression; the message says where."""


def compile_go(text: str) -> re.Pattern[str]:
    """Compile an expression written for Go. Raises RegexError for what Go refuses, and for classes like `\\pL`."""
    out: list[str] = []
    flags: list[list[str]] = [[]]  # flags set within each open group
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise RegexError(f"{text[position:]!r} is not in Go's syntax")
        out.append(_written(token, flags))
        position = token.end()
    try:
        return re.compile("".join(out) + ")" * len(flags[0]), re.ASCII)
    except (re.error, OverflowError) as error:
        raise RegexError(str(error)) from None
    except RecursionError:
        raise RegexError("nested too deeply") from None


def may_explode(text: str) -> bool:
    """Whether Python's engine may need exponential time where Go's needs linear: it tries all ways to match.

    So it may for a repeated group that repeats or chooses within, and for many
    repetitions in a row. Cautious: it is true for some that are harmless.
    """
    nested = [False]  # by open group: whether it repeats or chooses within
    closed, repeats, position = False, 0, 0
    while position < len(text) and (token := _TOKEN.match(text, position)) is not None:
        position = token.end()
        if token["repeat"] is not None:
            repeats += token["repeat"][0] != "?"
            if (closed and token["repeat"][0] != "?") or repeats > _MOST_IN_A_ROW:
                return True
            nested[-1] = True
        elif token["or"] is not None:
            nested[-1] = True
        elif (
            token["open"] is not None
            or token["named"] is not None
            or (token["flags"] is not None and token["after"] == ":")
        ):
            nested.append(False)
        closed = False
        if token["close"] is not None and len(nested) > 1:
            closed = nested.pop()
            nested[-1] |= closed
    return False


def _written(token: re.Match[str], flags: list[list[str]]) -> str:
    """Write one token in Python's dialect."""
    kind = token.lastgroup or ""
    found = token.groupdict()
    if found["quoted"] is not None:
        return re.escape(found["quoted"])
    if found["hex"] is not None:
        return _character(found["hex"])
    if found["escape"] is not None:
        return _escaped(found["escape"])
    if found["members"] is not None:
        return f"[{found['negated']}{_members(found['members'])}]"
    if found["repeat"] is not None:
        return _repeated(token)
    if found["flags"] is not None:
        return _flagged(found["flags"].replace("U", ""), found["after"], flags)
    if found["named"] is not None or found["open"] is not None:
        flags.append([])
        return f"(?P<{found['name']}>" if found["named"] else "("
    if found["close"] is not None:
        if len(flags) == 1:
            raise RegexError("unexpected )")
        return ")" * len(flags.pop()) + ")"
    if found["or"] is not None:
        return ")" * len(flags[-1]) + "|" + "".join(flags[-1])
    return {"end": r"\Z", "brace": r"\{"}.get(kind, token.group())


def _flagged(names: str, after: str, flags: list[list[str]]) -> str:
    """A group with flags, or flags for the rest of the group, which Python knows as a group only."""
    names = names.removesuffix("-")
    opened = f"(?{names}:"
    if after == ":":
        flags.append([])
    else:
        flags[-1].append(opened)
    return opened


def _repeated(token: re.Match[str]) -> str:
    if token["nested"]:
        raise RegexError(f"invalid nested repetition operator {token.group()!r}")
    if max(int(token["least"] or 0), int(token["most"] or 0)) > _MOST_REPEATS:
        raise RegexError(f"invalid repeat count {token['repeat']!r}")
    return token["repeat"]


def _character(digits: str) -> str:
    try:
        return re.escape(chr(int(digits, 16)))
    except (ValueError, OverflowError):
        raise RegexError(f"no such character: {digits}") from None


def _escaped(letter: str) -> str:
    if letter == "z":
        return r"\Z"
    if letter.isalnum() and letter not in _ESCAPES and letter != "0":
        raise RegexError(f"\\{letter} is not supported")
    return "\\" + letter


def _members(text: str) -> str:
    """The inside of a character class, with the signs escaped that Python may come to read otherwise."""
    return "".join(_member(found) for found in _MEMBER.finditer(text))


def _member(found: re.Match[str]) -> str:
    if found["posix"] is not None:
        if found["not"] or found["posix"] not in _POSIX:
            raise RegexError(f"character class {found.group()} is not supported")
        return _POSIX[found["posix"]]
    if found["escape"] is not None:
        return _escaped(found["escape"][1])
    return "\\" + found["plain"] if found["plain"] in "[]&|~" else found["plain"]
