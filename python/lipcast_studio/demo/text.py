"""What the synthetic voices read: seeded English sentences of an own little grammar, and invented words."""

from __future__ import annotations

import random

_NOUNS = """window garden river teacher morning paper bottle mountain village picture doctor kitchen number machine
market bridge forest letter summer winter engine button pocket finger shoulder island father mother
brother sister farmer baker painter singer pilot sailor visitor neighbour monkey rabbit spider dolphin
butterfly elephant tiger pepper butter apple banana mushroom cabbage potato pumpkin coffee pudding
breakfast supper table chair basement bathroom office shop theatre church tower castle harbour valley
beach ocean thunder shadow measure treasure pleasure television vision garage question answer problem
promise purpose opinion battle bubble bumper member chamber campus voice choice boy oil house mouse cloud
crowd town sound thought daughter water floor bird girl world nurse word shirt path bath father thumb
thing cloth tooth feather weather leather movie beef wave glove love stove leaf""".split()
_VERBS = """watched moved opened painted followed remembered carried measured borrowed pushed pulled repaired noticed
bought found washed promised believed offered covered imagined chose brought admired forgot loved kept
gave threw wanted improved polished wrapped mapped""".split()
_ADJECTIVES = """big small purple yellow warm frozen busy empty famous gentle brave old young beautiful wonderful simple
heavy lively rough smooth quiet loud early fresh happy foolish thoughtful possible available blue white
rare""".split()
_ADVERBS = """slowly quickly often never always quietly maybe perhaps again together today tomorrow away before""".split()
_PLACES = ["behind the {}", "above the {}", "in my {}", "by the {}", "from a {}", "for the {}", "with every {}",
           "near the {}", "under that {}", "beyond our {}", "without a {}", "through the {}"]  # fmt: skip
_PHRASES = ["Good morning, how may I help you?", "Please wait a moment.", "I am very happy to hear that.",
            "Thank you for the offer, but no.", "What would you like to know?", "We have moved the whole week.",
            "The first five are free of charge.", "My opinion of it has improved.", "Have you ever been above the fog?",
            "Oh, you're welcome.", "That is just what I thought.", "Both of them move both hands above the table."]  # fmt: skip
_DIGITS = """zero one two three four five six seven eight nine ten eleven twelve twenty thirty hundred""".split()


def english(rng: random.Random) -> str:
    """One sentence or two, 2 to 8 s long when read."""
    pick = rng.choice
    kind = rng.random()
    if kind < 0.12:
        return pick(_PHRASES) + " " + pick(_PHRASES)
    if kind < 0.2:
        return "The number is " + ", ".join(pick(_DIGITS) for _ in range(rng.randint(5, 9))) + "."
    if kind < 0.35:
        return " ".join(pick(_NOUNS + _VERBS + _ADJECTIVES) for _ in range(rng.randint(6, 11))) + "."
    subject = f"{pick(['The', 'My', 'A', 'Every', 'This', 'Your'])} {pick(_ADJECTIVES)} {pick(_NOUNS)}"
    place = pick(_PLACES).format(pick(_NOUNS))
    thing = f"{pick(['the', 'a', 'their', 'his', 'four', 'some'])} {pick(_ADJECTIVES + [''])} {pick(_NOUNS)}"
    parts = [subject, pick(_VERBS), thing, place]
    if rng.random() < 0.5:
        parts.insert(1, pick(_ADVERBS))
    if rng.random() < 0.4:
        parts += [pick(["and", "but", "because", "while"]), pick(["she", "he", "we", "they", "you"]), pick(_VERBS),
                  "the", pick(_NOUNS)]  # fmt: skip
    return " ".join(p for p in parts if p) + pick([".", ".", "?", "!"])


_LETTERS = {  # consonants, vowels
    "latin": ("p b m f v t d n l r s k g".split(), "a e i o u".split()),
    "italian": ("p b m f v t d n l r s c g z sc gn gl tr pr mp nt".split(), "a e i o u".split()),
    "catalan": ("p b m f v t d n l r s c g z x j ny ll".split(), "a e i o u".split()),
    "czech": ("p b m f v t d n l r s k g h j c z".split(), "a e i o u".split()),
    "finnish": ("p m v t d n l r s k h j pp mm tt ll kk ss".split(), "a e i o u y aa ee ii oo uu yy ai ei ou".split()),
    "russian": ("п б м ф в т д н л р с к г х ш ж ч з".split(), "а о у э ы и е я ю".split()),
}


def invented(rng: random.Random, letters: str) -> str:
    """Words without meaning in the letters of a language: every consonant meets every vowel."""
    consonants, vowels = _LETTERS[letters]
    words = []
    for _ in range(rng.randint(5, 9)):
        word = "".join(rng.choice(consonants) + rng.choice(vowels) for _ in range(rng.randint(1, 3)))
        words.append(rng.choice(vowels)[0] + word if rng.random() < 0.2 else word)
        if rng.random() < 0.15:
            words[-1] += ","
    return " ".join(words).rstrip(",") + "."


def digits(rng: random.Random) -> str:
    """Figures that a voice of any language can read."""
    return ", ".join(str(rng.choice([rng.randint(0, 20), rng.randint(21, 999)])) for _ in range(rng.randint(4, 7)))
