"""Small dumps of MediaWiki for tests."""

from xml.sax.saxutils import escape


def page(id_: int, text: str, title: str = "T", ns: int | None = 0, extra: str = "", revision: str = "") -> str:
    """Write a page of one revision; ``ns=None`` as in old dumps."""
    namespace = "" if ns is None else f"<ns>{ns}</ns>"
    return (
        f"<page><title>{escape(title)}</title>{namespace}<id>{id_}</id>{extra}<revision><id>99{id_}</id>{revision}"
        f"<contributor><username>U</username><id>7</id></contributor><text xml:space='preserve'>{escape(text)}</text>"
        "</revision></page>\n"
    )


def mediawiki(*pages: str, siteinfo: str = "<sitename>W</sitename>") -> bytes:
    """Write a dump."""
    head = f"<mediawiki version='0.11'><siteinfo>{siteinfo}</siteinfo>\n"
    return (head + "".join(pages) + "</mediawiki>\n").encode()
