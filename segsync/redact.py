"""Hides what may be personal or secret in the words of a service.

The reason for a refusal is worth showing, but may quote the customer. This filter goes by shape: e-mail addresses,
phone numbers, dates and other long numbers, quoted text that is not plainly the name of a property, capitalised words
in the middle of a sentence, words in other scripts, tokens, and the secrets that it is given. In doubt it hides.
It does not recognise a name in lower case without quotes ("customer ada was refused"), one that begins a sentence
("Ada gave no consent"), or one in the place of a property's ("key 'ada'").
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

MOST_CHARACTERS = 300  # the most of a redacted text
_MOST_READ = 4000  # the most characters that are looked at, so that no text makes the rules slow
_SHORT = 4  # a secret of so few characters, like the id "40", is hidden only where it stands alone, not in 400
_LONG = 200  # the beginning of a longer secret is enough to know it by
_MOST_PASSES = 20  # to hide one thing can show that its neighbour is to be hidden too, but not so often in a sentence

_OWN_NAME = re.compile(  # Voucherify's attributes of a customer, and kinds of values
    r"source_id|name|email|phone|birthdate|description|address|(?:system_)?metadata(?:[.\[].*)?"
    r"|(?:address\.)?(?:city|state|line_1|line_2|country|postal_code)"
    "|string|number|integer|boolean|object|array|date|null|true|false|int|float|str|bool"
)
_IDENTIFIER = re.compile(r"[^\w\s]([a-z][A-Za-z0-9_.\[\]-]{0,63})[\"'`“”«»‹›‘’]")
_NOUN = "(?:property|properties|key|field|attribute|parameter|metadata|trait|column|type|schema)"
_NOUN_BEFORE, _NOUN_AFTER = re.compile(rf"(?i)\b{_NOUN} \Z"), re.compile(rf"(?i) {_NOUN}\b")

_PLAIN_WORDS = """
    voucherify segment segsync api json http https iso utf url id mb kb csv null true false unicode ascii yyyy mm dd
    success failed failure get put post delete bearer basic token authorization string number integer boolean date
    object array list text value values type key field property properties attribute parameter column schema trait
    traits metadata system source name email mail phone birthdate description address city state country postal code
    customer customers profile profiles payload body request response header query message details status error errors
    validation limit resource space project application account plan service server the this that it there no not
    nothing something what when if is must each every all invalid missing required duplicate unknown unexpected expected
    unsupported unauthorized forbidden found conflict bad
"""
_PLAIN = frozenset(_PLAIN_WORDS.split())
_WORD_PART = re.compile(r"[A-Z]{2,}(?![a-rt-z])|[A-Z]?[a-z]+")
_SENTENCE = re.compile(  # how one begins: "Poison customer", but not "Ada", "Ada Lovelace", "Ada was", "Ada with"
    r"(?:\A|(?<=[a-z0-9)\]'\"][.!?] )|(?<=: )|(?<=\())[A-Z][a-z]+ "
    "(?!(?:is|was|are|were|be|been|has|had|have|do|does|did|can|cannot|could|must|should|will|would|may|might|needs"
    r"|already|and|or|with|at|from|of|whose|who)(?:n['’]t)?\b)[a-z]"
)

_UUID = "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_OBJECT_ID = (  # what support asks for: a prefix that we know, or any but those of keys before a random string
    rf"(?<![\w-])(?:(?:aa|ms|req|use|v)[_-](?:{_UUID}|[0-9A-Za-z]{{1,64}})"
    r"|(?!(?:sk|pk|rk|key|tok|token|pat|glpat|sgp|gh[a-z]|xox[a-z])[_-])[a-z]{1,5}[_-]"
    rf"(?:{_UUID}|(?=[0-9]*[A-Za-z]+[0-9]+[A-Za-z])(?![0-9A-Za-z]*[0-9]{{9}})[0-9A-Za-z]{{8,64}}))(?![\w-])"
)

_HIDDEN_WORD = re.compile(
    "\ufffd"  # what no line can show, and what may part a name
    r"|%[0-9A-Fa-f]{2}|\\|&#?\w"  # encoded: it means something else than it shows
    "|[^\x00-\x7f‘’‚“”„‹›«»–—•·…]"  # other scripts: names far more often than words
    "|(?:[0-9][^0-9]*){5}"  # an identifier, a time, a part of a number
    rf"|^(?=.{{20}}).*(?:[A-Za-z](?<!/v)[0-9]|[0-9][A-Za-z])|{_UUID}"  # a token: long and mixed, but no "/v1/" path
)

_DAY = "[0-9]{1,2}(?:st|nd|rd|th)?"
_MONTH = r"(?:(?i:(?:jan|feb|mar|apr|june?|july?|aug|sept?|oct|nov|dec)(?:r?uary|ch|il|ust|ember|ober)?)|May|MAY)\b\.?"
_GAP = "(?:[ ()/_–—-]{0,3}|[.,…])"
_QUOTES = (*zip('"`“”«»‹›', '"`””»«›‹', strict=True), ("„", "“”"))

_Rule: TypeAlias = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]


def _quoted(match: re.Match[str]) -> str:
    before, after = match.string[: match.start()], match.string[match.end() :]
    named = _IDENTIFIER.fullmatch(match[0])
    is_kept = named and (_OWN_NAME.fullmatch(named[1]) or _NOUN_BEFORE.search(before[-12:]) or _NOUN_AFTER.match(after))
    return match[0] if is_kept else "…"


def _word(match: re.Match[str]) -> str:
    core = match[0].strip("….,;:!?()[]{}<>'\"`“”‘’„‚«»‹›")
    return match[0].replace(core, "…", 1) if _HIDDEN_WORD.search(re.sub(_OBJECT_ID, "", core)) else match[0]


def _capitalised(match: re.Match[str]) -> str:
    is_plain = all(part.lower() in _PLAIN for part in _WORD_PART.findall(match[0]) if len(part) > 1)
    return match[0] if is_plain or _SENTENCE.match(match.string, match.start()) else "…"


_RULES: tuple[_Rule, ...] = (
    # Quotes first, while the words in them are together. One that does not end was cut, and goes on to the end.
    (re.compile("|".join(rf"{a}(?:\\.|[^{b}])*?(?:[{b}]|\Z)" for a, b in _QUOTES)), _quoted),
    # An apostrophe inside a word is not a quote: "doesn't", 'O'Brien'.
    (re.compile(r"(?<!\w)(?:'(?:\\.|.)*?(?:'(?!\w)|\Z)|[‘’‚].*?(?:[‘’](?!\w)|\Z))"), _quoted),
    # An e-mail address, also one with spaces in it, or a URL with user info.
    (re.compile(r"(?<!\S)([(\[<]{0,3})(?:\S*(?:@|%40)\S*|\S+ @ \S+)(?<![.,;:!?)>\]])"), r"\1…"),
    (re.compile(r"(?<=\S)([?#])[^\s…]\S*"), r"\1…"),  # a URL's query and fragment carry values
    # A credential follows its kind; but "bearer token" and "basic plan" are English.
    (re.compile(r"\b((?i:bearer) (?!(?i:token|auth)|…)|(?i:basic) (?=[^\s…]*[A-Z0-9=]))\S+"), r"\1…"),
    (re.compile(r"(?i)\b((?:password|passwd|secret|token|authorization|(?:api|access)[ _-]?key): ?)(?!…)\S+"), r"\1…"),
    # Dates in words; those in figures are long numbers.
    (re.compile(rf"\b(?:{_DAY} (?:of )?{_MONTH}|{_MONTH}(?= [0-9]))(?:,? {_DAY}\b)?(?:,? [0-9]{{4}}\b)?"), "…"),
    # Phone numbers: five digits or more, however they are parted. Limits, statuses and counts are shorter.
    (re.compile(rf"({_OBJECT_ID})|(?<!\w)\+?[0-9](?:{_GAP}[0-9]){{4,}}(?:[:.]?\w)*"), lambda match: match[1] or "…"),
    # What is assigned is a value: "Key (email)=(ada k)", "name=ada"; but "limit <= 100" is a limit.
    (re.compile(r"(?<![<>!=])(=)\s?(?!\s?…(?:\W|\Z)|[0-9]{1,4}(?!\w))(?:\([^)]*\)?|\S+)"), r"\1…"),
    (re.compile(r"\S+"), _word),
    (re.compile(r"(?<!\w)_*[A-Z][\w'’-]*"), _capitalised),  # names of people and places
    (re.compile(r"…(?:[\s@/_-]*…)+"), "…"),  # how many words a name has is personal too
)


def redacted(text: str, *secrets: str) -> str:
    """`text` as one printable line of at most `MOST_CHARACTERS`, with "…" for what may be personal or secret.

    `secrets` are hidden in any case and encoding, very short ones where they stand alone. Never raises; idempotent.
    """
    known = sorted(filter(None, map(_line, secrets)), key=len, reverse=True)
    rules = (*_secret_rules(known), *_RULES)
    shown = _settled(text[:_MOST_READ], rules)
    if len(text) > _MOST_READ:  # half of something may stand at the end, of a secret in its longest encoding too
        shown = shown[: max(len(shown) - max(MOST_CHARACTERS, 12 * len("".join(known[:1]))), 0)] + "…"
    if len(shown) > MOST_CHARACTERS:
        shown = shown[: MOST_CHARACTERS - 1] + "…"
    return _settled(shown, rules)


def without_secrets(text: str, *secrets: str) -> str:
    """`text` as one printable line, with "…" for `secrets` alone: it may be personal. The rest of a long one is cut."""
    known = sorted(filter(None, map(_line, secrets)), key=len, reverse=True)
    return _settled(text[:_MOST_READ], _secret_rules(known))


def _secret_rules(known: list[str]) -> tuple[_Rule, ...]:
    return ((re.compile("|".join(map(_in_any_encoding, known)), re.IGNORECASE), "…"),) if known else ()


def _settled(text: str, rules: tuple[_Rule, ...]) -> str:
    """`text` after the rules, applied until none changes it any more."""
    for _ in range(_MOST_PASSES):
        before, text = text, _line(text)
        for pattern, replacement in rules:
            text = pattern.sub(replacement, text)
        if text == before:
            return text
    return "…"


def _line(text: str) -> str:
    """One line: control characters become spaces, and bidi marks, surrogates and the like U+FFFD (a rule hides it)."""
    signs = (sign if sign.isprintable() else " " if sign < "\xa0" or sign.isspace() else "\ufffd" for sign in text)
    return " ".join("".join(signs).split())


def _in_any_encoding(secret: str) -> str:
    """A pattern of the secret with each sign in any form. The forms begin differently, hence no backtracking."""
    pattern = ""
    for sign in secret:
        percent = "".join(f"%{byte:02x}" for byte in sign.encode())
        forms = {sign, f"\\{sign}", f"\\u{ord(sign):04x}", percent, "+" if sign == " " else sign} - {"\\"}
        pattern += sign if sign.isascii() and sign.isalnum() else f"(?:{'|'.join(map(re.escape, sorted(forms)))})"
    if len(secret) > _LONG:
        return f"{_in_any_encoding(secret[:_LONG])}.*"
    anywhere = f"{re.escape(secret)}|{pattern}"
    return anywhere if len(secret) > _SHORT else rf"(?<!\w)(?:{anywhere})(?!\w)"
