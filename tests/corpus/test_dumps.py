"""Dumps of MediaWiki, old and odd ones too: which pages are articles, in which revision, under which id."""

from pathlib import Path

import pytest
from wiki_pages import mediawiki, page

from natural_sparsity.corpus.readers.base import Account, Document
from natural_sparsity.corpus.readers.mediawiki import is_redirect
from natural_sparsity.corpus.readers.read import read_documents

NAMESPACES = (
    '<namespaces><namespace key="-1">Special</namespace><namespace key="0" /><namespace key="1">Talk</namespace>'
    '<namespace key="4">Wikipedia</namespace><namespace key="5">Wikipedia talk</namespace>'
    '<namespace key="14">Catégorie</namespace></namespaces>'
)


def read(folder: Path, data: bytes, account: Account | None = None, name: str = "dump.xml") -> list[Document]:
    (folder / name).write_bytes(data)
    return list(read_documents(folder / name, account=account))


def titles(*names: str, siteinfo: str = NAMESPACES, ns: int | None = None) -> bytes:
    return mediawiki(*(page(i, "text", title, ns) for i, title in enumerate(names, 1)), siteinfo=siteinfo)


# ------------------------------------------------------------------------------------------------------- namespaces


def test_siteinfo_tells_the_namespace_where_pages_do_not(tmp_path: Path) -> None:
    others = ["Talk:Cat", "talk:cat", "Wikipedia:Votes", "Wikipedia_talk:Votes", "WIKIPEDIA TALK :x", "Catégorie:Chats"]
    articles = ["Cat", "Re:Zero", "2001: A Space Odyssey", ":Talk", "Talk show", "Category:Cats"]
    account = Account()
    documents = read(tmp_path, titles(*others, *articles), account)
    assert [document.title for document in documents] == articles
    assert account.skipped == {"other namespace": len(others)}


def test_a_page_s_own_namespace_counts_before_its_title(tmp_path: Path) -> None:
    assert len(read(tmp_path, titles("Talk:Cat", ns=0))) == 1
    assert read(tmp_path, titles("Cat", ns=1)) == []


def test_a_dump_that_tells_no_namespace_is_named(tmp_path: Path) -> None:
    account = Account()
    assert len(read(tmp_path, titles("Cat", "Talk:Cat", "Talk:Dog", siteinfo=""), account)) == 3
    assert account.notes == [
        "dump.xml: it names no namespaces, so every page whose title has a colon counts as an article"
    ]


# --------------------------------------------------------------------------------------------------------- redirects


@pytest.mark.parametrize(
    "text",
    [
        "#REDIRECT [[Cat]]",
        "#redirect [[Cat]]",
        "#Redirect: [[Cat#Food|cats]] {{R from move}} and what else follows",
        "\n # REDIRECT[[Cat]]",
        "#WEITERLEITUNG [[Katze]]",
        "#REDIRECTION [[Chat]]\n[[Catégorie:Chats]]",
        "#REDIRECCIÓN [[Gato]]",
        "#перенаправление [[Кошка]]",
        "#重定向 [[貓]]",
        "#転送 [[ネコ]]",
        "#تغییر مسیر [[گربه]]",
        "#पुनर्प्रेषित [[बिल्ली]]",
        "#넘겨주기 [[고양이]]\n{{분류 넘겨주기}}\n<!-- 주석 -->__STATICREDIRECT__",
    ],
)
def test_redirects_of_all_languages_are_skipped_and_counted(tmp_path: Path, text: str) -> None:
    account = Account()
    assert read(tmp_path, mediawiki(page(1, text, ns=None)), account) == []
    assert account.skipped == {"redirect": 1}


@pytest.mark.parametrize(
    "text",
    [
        "# [[Cat]]\n# [[Dog]]",
        "#First the [[cat]]\n#Then the [[dog]]",
        "#Cats: [[Felis]] and others, of which this is the text.",
        "# item\n# [[item]]",
        "The tag #REDIRECT [[Cat]] is explained here.",
        "#REDIRECT is a word of wikitext; it comes before a [[link]].",
        "#hashtag",
        "#",
    ],
)
def test_lists_and_texts_about_redirects_are_articles(tmp_path: Path, text: str) -> None:
    assert not is_redirect(text)
    assert [document.text for document in read(tmp_path, mediawiki(page(1, text)))] == [text]


# --------------------------------------------------------------------------------------------------------- revisions


def history(*revisions: str) -> bytes:
    return mediawiki(f"<page><title>H</title><ns>0</ns><id>1</id>{''.join(revisions)}</page>")


def revision(text: str, year: int | None = None, **attributes: str) -> str:
    timestamp = f"<timestamp>{year}-01-02T00:00:00Z</timestamp>" if year else ""
    extra = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f"<revision><id>9</id>{timestamp}<text{extra}>{text}</text></revision>"


@pytest.mark.parametrize(
    "revisions",
    [
        [("newest", 2020), ("older", 2019), ("oldest", 2001)],
        [("oldest", 2001), ("newest", 2020), ("older", 2019)],
        [("oldest", 2001), ("older", 2019), ("newest", 2020)],
        [("older", 2020), ("newest", 2020)],
        [("older", None), ("newest", None)],
        [("older", 2019), ("newest", 2020), ("undated", None)],
    ],
)
def test_of_a_history_the_newest_text_is_kept_in_any_order(tmp_path: Path, revisions: list) -> None:
    assert [document.text for document in read(tmp_path, history(*(revision(*each) for each in revisions)))] == [
        "newest"
    ]


def test_a_deleted_revision_is_no_text(tmp_path: Path) -> None:
    account = Account()
    newest = revision("", 2021, deleted="deleted")
    assert [document.text for document in read(tmp_path, history(revision("kept", 2020), newest), account)] == ["kept"]
    assert account.skipped == {}
    assert read(tmp_path, history(newest), account) == []
    assert account.skipped == {"deleted": 1}


def test_a_dump_without_its_texts_says_so(tmp_path: Path) -> None:
    """The stub dumps of Wikipedia hold the length of each text only."""
    account = Account()
    assert read(tmp_path, history(revision("", 2020, bytes="5869")), account) == []
    assert read(tmp_path, history(revision("", 2020, bytes="0")), account) == []
    assert account.skipped == {"stub": 1, "empty": 1}


def test_what_is_no_wikitext_is_skipped(tmp_path: Path) -> None:
    models = ["wikitext", "css", "javascript", "wikibase-item", "Scribunto"]
    pages = [page(i, "text", revision=f"<model>{model}</model>") for i, model in enumerate(models)]
    account = Account()
    assert [document.id for document in read(tmp_path, mediawiki(*pages), account)] == ["0"]
    assert account.skipped == {"other content model": 4}


def test_a_page_without_a_revision_is_empty(tmp_path: Path) -> None:
    account = Account()
    assert read(tmp_path, history(), account) == []
    assert account.skipped == {"empty": 1}


# -------------------------------------------------------------------------------------------------------- two wikis


def dump(wiki: str, *texts: str) -> bytes:
    return mediawiki(*(page(i, text) for i, text in enumerate(texts, 1)), siteinfo=wiki)


@pytest.mark.parametrize(
    ("first", "second", "prefix"),
    [
        ("<dbname>enwiki</dbname>", "<dbname>dewiki</dbname>", "dewiki:"),
        ("<base>http://en.x.org/wiki/Main_Page</base>", "<base>http://de.x.org/wiki/Start</base>", "de.x.org/wiki:"),
        ("", "", "b.xml:"),
    ],
)
def test_pages_of_a_second_wiki_get_its_name(tmp_path: Path, first: str, second: str, prefix: str) -> None:
    account = Account()
    ids = [document.id for document in read(tmp_path, dump(first, "one", "two"), account, "a.xml")]
    ids += [document.id for document in read(tmp_path, dump(second, "eins"), account, "b.xml")]
    assert ids == ["1", "2", f"{prefix}1"]


def test_pieces_of_one_wiki_are_one_wiki(tmp_path: Path) -> None:
    """Of different years and protocols too; their ids stay what they are, as every split depends on them."""
    account = Account()
    first = "<base>http://en.x.org/wiki/Main_Page</base>"
    second = "<dbname>enwiki</dbname><base>https://en.x.org/wiki/Main_Page</base>"
    for name, wiki in (("a.xml", first), ("b.xml", second)):
        assert [document.id for document in read(tmp_path, dump(wiki, "one"), account, name)] == ["1"]


def test_two_languages_by_wikiextractor(tmp_path: Path) -> None:
    account = Account()
    doc = '<doc id="12" url="https://{0}.wikipedia.org/wiki?curid=12" title="T">\nT\n\n{0}\n</doc>\n'
    line = '{{"id": "12", "revid": "1", "url": "https://{0}.wikipedia.org/wiki?curid=12", "title": "T", "text": "x"}}'
    documents = read(tmp_path, doc.format("en").encode(), account, "a")
    documents += read(tmp_path, doc.format("de").encode(), account, "b")
    documents += read(tmp_path, line.format("fr").encode(), account, "c")
    assert [document.id for document in documents] == ["12", "de.wikipedia.org/wiki:12", "fr.wikipedia.org/wiki:12"]
