"""The tokens and sentences of spaCy's blank English pipeline with its sentencizer, at a multiple of its speed.

spaCy defines both. It tokenises every chunk, a string between two spaces, but only once; the tests compare the two.
"""

import re
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from itertools import chain
from typing import Any

from natural_sparsity.imports import import_spacy

MAX_CHUNKS = 300_000  # to remember; about 100 MB
# spaCy's time grows with the square of a chunk's length or faster: 100,000 exclamation marks would take an hour.
MAX_LENGTH = 4000
UNKNOWN = re.compile("(<unk>)", re.IGNORECASE)
# The sentencizer's rule, with a letter for each token: a sentence ends after a stop and the punctuation behind it.
STOP, PUNCTUATION, WORD = "spw"
SENTENCE = re.compile("[wp]*s[sp]*|[wp]+")
IN_CONTEXT = "?"  # instead of these letters, where a chunk's tokens can depend on the chunks beside it


class Tokenizer:
    """Split paragraphs, which are lists of chunks, into sentences of tokens.

    ``<unk>``, in any letter case, is always a token of its own. Chunks longer than ``MAX_LENGTH`` are cut.

    Chunks can be tokenised one by one, with rare exceptions. After splitting the chunks, spaCy searches the tokens of
    the whole text for its special cases and corrects some chunks, such as ``km/h.``. No special case contains a space,
    but its tokens may match across one. Such a match changes nothing itself; it only suppresses shorter matches that
    overlap it. So the context matters only for chunks with a correction, and paragraphs with one go through spaCy.
    """

    def __init__(self) -> None:
        spacy = import_spacy()  # here, since it takes a second, for which tokenised text need not wait
        from spacy.attrs import ORTH
        from spacy.lang.lex_attrs import is_punct
        from spacy.pipeline import Sentencizer
        from spacy.vocab import Vocab

        english: Any = spacy.blank("en").tokenizer
        self.rules, url_match = english.rules, english.url_match
        affixes = {name: getattr(english, name) for name in ("prefix_search", "suffix_search", "infix_finditer")}
        # Without lexical features in the vocabulary, new words take half the time.
        self.spacy: Any = type(english)(Vocab(), self.rules, url_match=url_match, **affixes)
        # spaCy makes corrections for the special cases that have affixes. It looks for the affixes of a special case at
        # no other time, so where they are hidden, the tokens are the same but for the corrections.
        hidden: Any = {name: hide(self.rules, find) for name, find in affixes.items()}
        self.uncorrected: Any = type(english)(Vocab(), self.rules, url_match=url_match, **hidden)
        self.first_tokens = {tokens[0][ORTH] for tokens in self.rules.values()}
        self.stops, self.is_punct = Sentencizer().punct_chars, is_punct
        self.tokens: dict[str, tuple[str, ...]] = {}  # of each chunk; behind each token a tab, behind the last a space
        self.kinds: dict[str, str] = {}  # of each chunk, a letter per token

    def learn(self, chunks: set[str]) -> None:
        """Tokenise the chunks that are new; forget the others if they are too many."""
        new = chunks.difference(self.tokens)
        if len(self.tokens) + len(new) > MAX_CHUNKS:
            self.tokens, self.kinds, new = {}, {}, chunks
        # In these, spaCy has nothing to split.
        words = {chunk for chunk in new if chunk.isalpha() and chunk.isascii() and chunk not in self.rules}
        self.tokens.update((word, (word + " ",)) for word in words)
        self.kinds.update(dict.fromkeys(words, WORD))
        pieces = {chunk: cut(chunk) for chunk in new - words}
        found = run(self.spacy, set().union(*pieces.values()))
        corrected = self._find_corrected(found)
        for chunk, parts in pieces.items():
            tokens = [token for part in parts for token in found[part]]
            self.tokens[chunk] = separate(tokens)
            self.kinds[chunk] = IN_CONTEXT if chunk in corrected else self._name_kinds(tokens)

    def split_sentences(self, chunks: Sequence[str]) -> Iterator[str]:
        """Yield the sentences of a paragraph; its chunks were learnt.

        A space separates two tokens if the text had one there, else a tab.
        """
        tokens, kinds = self._tokenise(chunks)
        for sentence in SENTENCE.finditer(kinds):
            yield "".join(tokens[sentence.start() : sentence.end()])[:-1]

    def join(self, chunks: Sequence[str]) -> str:
        """Return a paragraph as one sentence."""
        return "".join(self._tokenise(chunks)[0])[:-1]

    def _tokenise(self, chunks: Sequence[str]) -> tuple[list[str], str]:
        """Return the tokens of a paragraph, each with its separator, and their kinds."""
        kinds = "".join(map(self.kinds.__getitem__, chunks))
        if IN_CONTEXT in kinds:
            tokens = list(self._tokenise_in_context(chunks))
            return tokens, self._name_kinds([token[:-1] for token in tokens])
        return list(chain.from_iterable(map(self.tokens.__getitem__, chunks))), kinds

    def _tokenise_in_context(self, chunks: Sequence[str]) -> Iterator[str]:
        # A word that is part of no special case stands for the chunks that were cut.
        whole = ["word" if len(cut(chunk)) > 1 else chunk for chunk in chunks]
        with self.spacy.vocab.memory_zone():
            doc = self.spacy(" ".join(whole))
            for chunk, stand_in, tokens in zip(chunks, whole, group_tokens(doc, whole), strict=True):
                yield from separate(tokens) if chunk == stand_in else self.tokens[chunk]

    def _find_corrected(self, found: dict[str, list[str]]) -> set[str]:
        """Return the chunks that have other tokens than before spaCy looked for special cases among them."""
        candidates = [
            chunk for chunk, tokens in found.items() if len(tokens) > 1 and not self.first_tokens.isdisjoint(tokens)
        ]
        return {chunk for chunk, tokens in run(self.uncorrected, candidates).items() if tokens != found[chunk]}

    def _name_kinds(self, tokens: list[str]) -> str:
        return "".join(
            [STOP if token in self.stops else PUNCTUATION if self.is_punct(token) else WORD for token in tokens]
        )


def hide(texts: Container[str], find: Callable[[str], Any]) -> Callable[[str], Any]:
    """Change ``find`` so that it finds nothing in ``texts``."""
    return lambda text: find("" if text in texts else text)


def cut(chunk: str) -> list[str]:
    """Cut a chunk around each ``<unk>``, and where it is too long."""
    if len(chunk) <= MAX_LENGTH and "<" not in chunk:
        return [chunk]
    return [part[i : i + MAX_LENGTH] for part in UNKNOWN.split(chunk) for i in range(0, len(part), MAX_LENGTH)]


def separate(tokens: list[str]) -> tuple[str, ...]:
    """Put a tab behind each token, but a space behind the last."""
    return (*[token + "\t" for token in tokens[:-1]], tokens[-1] + " ")


def run(tokenizer: Any, chunks: Collection[str]) -> dict[str, list[str]]:
    """Return spaCy's tokens of each chunk by itself. No special case matches across a line break."""
    with tokenizer.vocab.memory_zone():
        tokens = dict(zip(chunks, group_tokens(tokenizer("\n".join(chunks)), chunks), strict=True))
    return tokens | {chunk: [chunk] for chunk in chunks if chunk.lower() == "<unk>"}


def group_tokens(doc: Any, chunks: Collection[str]) -> Iterator[list[str]]:
    """Yield the tokens of each chunk of a spaCy ``Doc``."""
    texts = filter("\n".__ne__, (token.text for token in doc))
    for chunk in chunks:
        left, group = len(chunk), []
        while left:
            group.append(next(texts))
            left -= len(group[-1])
        yield group
