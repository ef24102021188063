"""spaCy itself is the reference."""

import time
from collections.abc import Iterable

import pytest
import spacy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from spacy.tokens import Token

from natural_sparsity.corpus import tokenizer
from natural_sparsity.corpus.tokenizer import Tokenizer

ENGLISH = spacy.blank("en")
ENGLISH.add_pipe("sentencizer")
SPECIAL_CASES = sorted(rule for rule in ENGLISH.tokenizer.rules if rule.strip())
EMOTICONS = [rule for rule in SPECIAL_CASES if not rule[0].isalnum()]
SAMPLE = """
a I we they're John's cannot gonna U.S. U.K Jr. e.g i.e. a.m. p.m 10 1,000 3.14 10km 5% $3 €5 £1.58m. -7 1990s 9–11
km/h. m2/s. and/or x/y well-known re-do end.Next A.B.C www.example.org https://example.org/a?b=c,d me@example.org
@user #tag naïve Москва Привет. 東京。ここ ไทย العربية؟ हिन्दी। ελληνικά; İstanbul e\u0301 👍🏽 ❤️
👨\u200d👩\u200d👧 10°C. C++ C# <b> </b> _x_ ''' `` <3. 8). ): a_b
"""
MARKS = [*"""!?.,;:'"()[]{}<>«»„“”‘’…–—-/\\|*&%$#@^~+=_oODPpx038²₂""", "...", "''", "?!", ".)", '."']
FRAGMENTS = st.one_of(*map(st.sampled_from, (SAMPLE.split(), MARKS, SPECIAL_CASES, EMOTICONS)), st.text(max_size=4))
TEXTS = st.lists(st.tuples(FRAGMENTS, st.sampled_from(["", " "])).map("".join), max_size=25).map("".join)


@pytest.fixture(scope="module")
def old() -> Tokenizer:
    """A tokenizer that has seen other texts."""
    return Tokenizer()


def split(tokenizer: Tokenizer, text: str) -> list[str]:
    tokenizer.learn(set(text.split()))
    return list(tokenizer.split_sentences(text.split()))


def split_with_spacy(text: str) -> list[str]:
    return [join(sentence) for sentence in ENGLISH(" ".join(text.split())).sents]


def join(tokens: Iterable[Token]) -> str:
    return "".join(token.text + (" " if token.whitespace_ else "\t") for token in tokens)[:-1]


@settings(max_examples=300)
@given(TEXTS)
@example("(1990): One. (x) :) Two")  # spaCy corrects "(1990):", since "):" is an emoticon
@example("x) :>he’ll")  # ") :>" is none, for its space, but keeps spaCy from finding ":>"
@example(";0_0>:o( :0:(( <333")
@example('He left. "Why?" (She asked.) ... ! ? and went.on.')
def test_tokens_and_sentences_are_those_of_spacy(old: Tokenizer, text: str) -> None:
    assert split(old, text) == split_with_spacy(text)
    assert old.join(text.split()) == join(ENGLISH(" ".join(text.split())))


def test_no_special_case_has_a_space_within() -> None:
    """Else strings between spaces could not be tokenised one by one."""
    assert all(len(rule.split()) == 1 for rule in SPECIAL_CASES)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("the <unk> of", "the <unk> of"),
        ("(<unk>), <UNK>'s", "(\t<unk>\t)\t, <UNK>\t's"),
        ("<Unk><unk>. anti-<unk>ed", "<Unk>\t<unk>\t. anti-\t<unk>\ted"),
        ("x) :>he’ll <unk>.", "x\t) :\t>\the\t’ll <unk>\t."),  # among chunks that have to be tokenised together
        ("< unk >", "< unk >"),
        ("<unk", "<\tunk"),
    ],
)
def test_the_unknown_word_is_one_token(old: Tokenizer, text: str, sentence: str) -> None:
    old.learn(set(text.split()))
    assert old.join(text.split()) == sentence


def test_a_sentence_ends_after_the_unknown_word_as_after_any(old: Tokenizer) -> None:
    assert split(old, "He saw <unk>. It was <UNK>!) So") == ["He saw <unk>\t.", "It was <UNK>\t!\t)", "So"]


def test_a_long_string_without_spaces_takes_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "MAX_LENGTH", 1000)
    start = time.process_time()
    lines = split(Tokenizer(), "See " + "!" * 20_000 + " and ) :>he’ll")  # spaCy alone takes minutes
    assert time.process_time() - start < 10
    assert lines == ["See " + "\t".join("!" * 20_000), "and ) :\t>\the\t’ll"]


def test_memory_is_bounded_and_forgetting_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "MAX_CHUNKS", 20)
    forgetful = Tokenizer()
    vocabularies = [forgetful.spacy.vocab, forgetful.uncorrected.vocab]
    sizes = [len(vocabulary.strings) for vocabulary in vocabularies]
    for i in range(30):
        text = f"Word{i} (one{i}), two{i}. Three{i}'s x{i}) :>he’ll"
        assert split(forgetful, text) == split_with_spacy(text)
        assert len(forgetful.tokens) == len(forgetful.kinds) <= 20
    assert [len(vocabulary.strings) for vocabulary in vocabularies] == sizes
