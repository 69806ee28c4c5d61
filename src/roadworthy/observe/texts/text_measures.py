"""What can be told of a text without reading it: repetition, loops, poverty of words, broken characters, refusals.

Gibberish made of many different words, and true words in a false order, look healthy to all of these: they are seen in
the probabilities of the tokens, where the engine gives them (`log_probability`).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

# Texts of words this long on average are written without spaces: their signs stand for words.
MOST_LETTERS = 30
# A loop of up to this many words is looked for at the end of a text.
LONGEST_PERIOD = 60
# Words at the end over which the entropy is taken: that of longer texts is lower by nature.
LAST_WORDS = 128
LEAST_WORDS = 12

# The bytes of UTF-8 beyond the first of a sign, read as Windows-1252 or Latin-1.
_TRAILING = "[\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
_MOJIBAKE = re.compile(
    f"[\u00c2-\u00df]{_TRAILING}|[\u00e0-\u00ef]{_TRAILING}{{2}}|[\u00f0-\u00f4]{_TRAILING}{{3}}|\ufffd"
    r"|(?<=[^\W\d_])\?(?=[^\W\d_])"
)
_CONTROL = re.compile("[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200b\u202a-\u202e\u2066-\u2069\ufeff]")
_VERBS = "help|assist|provide|answer|comply|fulfil|do that|discuss|create|generate|write|continue|engage"
_REFUSAL = re.compile(
    rf"\b(?:(?:i|we) (?:can(?:'t|not)|am unable to|'m unable to|won't) (?:{_VERBS})"
    r"|i(?:'m| am) sorry,? (?:but|i)|i apologi[sz]e,? but|(?:i'm|i am) (?:not able|unable) to"
    r"|as an? (?:ai|artificial|large language)\b|against my (?:guidelines|programming)"
    r"|es tut mir leid, aber|je (?:suis désolé|ne peux pas)|lo siento, pero)",
    re.IGNORECASE,
)
# A text that ends with none of these stops in the middle; the last are closing signs after the mark.
_ENDS = ".!?…。！？।؟:;"
_CLOSING = "\"'”’»›)]}*_`>|~"
CUT = ("length", "max_tokens", "content_filter")


def measured(
    text: str | None,
    finish_reason: str | None = None,
    log_probability: float | None = None,
    seconds: Mapping[str, float] | None = None,
    tokens: int | None = None,
) -> dict[str, float]:
    """The faults of a text by name, the larger the worse; those that nothing is known of are left out.

    `log_probability` is the mean of its tokens'. `seconds` holds `first` and `total` of its stream.
    """
    text = text or ""
    units = _units(text)
    length = max(1, len(text))
    apostrophes = text[:300].replace("’", "'")
    found = {
        "empty": float(not text.strip()),
        "long": float(len(text)),
        "short": -float(len(text)),
        "repeats": repeated_share(units),
        "loops": float(tail_loop(units)),
        "few_words": -entropy(units[-LAST_WORDS:]),
        "non_ascii": 1 - len(text.encode("ascii", "ignore")) / length,
        "control": len(_CONTROL.findall(text)) / length,
        "mojibake": sum(map(len, _MOJIBAKE.findall(text))) / length,
        "refusal": float(_REFUSAL.search(apostrophes) is not None),
        "unfinished": float(_unfinished(text)),
    }
    if finish_reason is not None:
        found["cut"] = float(finish_reason in CUT)
    if log_probability is not None and not math.isnan(log_probability):
        found["unsure"] = -log_probability
    return found | _pace(seconds or {}, tokens)


def repeated_share(units: Sequence[str]) -> float:
    """The share of sequences of four words that were there before."""
    n = len(units) - 3
    return 1 - len(set(zip(units, units[1:], units[2:], units[3:], strict=False))) / n if n > 0 else 0.0


def tail_loop(units: Sequence[str]) -> int:
    """How many words at the end say again what stands just before them, in a loop of any length."""
    n, longest = len(units), 0
    for period in range(1, min(LONGEST_PERIOD, n // 2) + 1):
        again = 0
        while again < n - period and units[n - 1 - again] == units[n - 1 - again - period]:
            again += 1
        if again >= period:  # a whole round, and not the same last word by chance
            longest = max(longest, again)
    return longest


def entropy(units: Sequence[str]) -> float:
    """Shannon's entropy of the words, 1 where each is another one; 1 too for a few words, which tell nothing."""
    n = len(units)
    if n < LEAST_WORDS:
        return 1.0
    return -sum(k / n * math.log(k / n) for k in Counter(units).values()) / math.log(n)


def _units(text: str) -> list[str]:
    words = text.lower().split()
    return words if len(text) <= MOST_LETTERS * max(1, len(words)) else [sign for sign in text if not sign.isspace()]


def _unfinished(text: str) -> bool:
    bare = text.rstrip().rstrip(_CLOSING)
    return bool(bare) and bare[-1] not in _ENDS


def _pace(seconds: Mapping[str, float], tokens: int | None) -> dict[str, float]:
    """Time to the first token, and seconds a token after it."""
    first, total = seconds.get("first"), seconds.get("total")
    found = {} if first is None else {"slow_first": first}
    if first is not None and total is not None and tokens is not None and tokens > 1:
        found["slow_tokens"] = max(0.0, total - first) / (tokens - 1)
    return found
