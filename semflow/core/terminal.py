"""Text of foreign files, made harmless to a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Text on one line with every control character as its escape, such as \x1b or \n.

    Class names, keys and paths come from files that anyone may have written; an escape sequence in
    them could recolour, overwrite or retitle a terminal. Lone surrogates, which stand for the bytes
    of a file name that is no UTF-8, are escaped too: no stream takes them.
    """
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )
