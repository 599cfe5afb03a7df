"""A reader for the part of YAML that the files of this folder use; it refuses what it does not know.

There is none in Python's library, and the check of this folder shall need nothing else.
"""

import re


class Unreadable(Exception):
    """A line that this reader does not know."""


def without_comment(line):
    """The line up to a comment, quotes respected."""
    quote = None
    for at, char in enumerate(line):
        if quote:
            quote = None if char == quote else quote
        elif char in "'\"" and (at == 0 or line[at - 1] in " [,:{"):
            quote = char
        elif char == "#" and (at == 0 or line[at - 1].isspace()):
            return line[:at].rstrip()
    return line.rstrip()


def flow_items(text):
    """The items of `a, "b, c", d`."""
    items, item, quote = [], "", None
    for char in text:
        if quote:
            quote = None if char == quote else quote
        elif char in "'\"" and not item.strip():
            quote = char
        elif char == ",":
            items.append(item)
            item = ""
            continue
        item += char
    return [item.strip() for item in [*items, item] if item.strip()]


class Yaml:
    """Maps, lists and texts; anchors, aliases and merges; texts of several lines behind `|`. All values are text."""

    KEY = re.compile(r"""^("[^"]*"|'[^']*'|[^\s'"\[{#&*-][^'"]*?|<<|-[^\s'"][^'"]*?):(?:\s+(.*))?$""")

    def __init__(self, text):
        self.anchors = {}
        self.lines = []
        for number, line in enumerate(text.splitlines(), 1):
            line = without_comment(line)
            if line.strip() and line.strip() != "---":
                if "\t" in line:
                    raise Unreadable(f"line {number}: a tab")
                self.lines.append((len(line) - len(line.lstrip()), line.strip(), number))
        self.at = 0

    @classmethod
    def read(cls, text):
        reader = cls(text)
        value = reader.block(0)
        if reader.at < len(reader.lines):
            raise Unreadable(f"line {reader.lines[reader.at][2]}: indented less or more than what it belongs to")
        return value

    def block(self, least):
        """What begins at this line and is indented by at least so much."""
        if self.at >= len(self.lines) or self.lines[self.at][0] < least:
            return ""
        indent, text, _ = self.lines[self.at]
        return self.sequence(indent) if text == "-" or text.startswith("- ") else self.mapping(indent)

    def sequence(self, indent):
        items = []
        while self.at < len(self.lines) and self.lines[self.at][0] == indent:
            _, text, number = self.lines[self.at]
            if not text.startswith("- "):
                break
            rest = text[2:].lstrip()
            if self.KEY.match(rest) and not rest.startswith(("-", "${")):
                # A map whose first line stands beside the dash.
                self.lines[self.at] = (indent + 2, rest, number)
                items.append(self.mapping(indent + 2))
            else:
                self.at += 1
                items.append(self.scalar(rest, number))
        return items

    def mapping(self, indent):
        own, merged = {}, {}
        while self.at < len(self.lines) and self.lines[self.at][0] == indent:
            _, text, number = self.lines[self.at]
            match = self.KEY.match(text)
            if not match:
                raise Unreadable(f"line {number}: {text}")
            key, rest = match[1].strip("'\""), match[2] or ""
            self.at += 1
            anchor = re.match(r"&(\S+)\s*(.*)$", rest)
            if anchor:
                rest = anchor[2]
            if rest == "|":
                value = self.literal(indent)
            else:
                value = self.scalar(rest, number) if rest else self.block_of(indent)
            if anchor:
                self.anchors[anchor[1]] = value
            if key == "<<":
                merged = value
            elif key in own:
                raise Unreadable(f"line {number}: {key} for the second time")
            else:
                own[key] = value
        return {**merged, **own}

    def literal(self, indent):
        """Lines as they are, but for their indentation, comments and empty ones: a query does not need these."""
        lines = []
        while self.at < len(self.lines) and self.lines[self.at][0] > indent:
            lines.append(self.lines[self.at][1])
            self.at += 1
        return "\n".join(lines)

    def block_of(self, indent):
        """The value of a key that stands at this indentation; a list may stand at the same."""
        if self.at < len(self.lines):
            beside, text, _ = self.lines[self.at]
            if beside == indent and text.startswith("- "):
                return self.sequence(indent)
        return self.block(indent + 1)

    def scalar(self, text, number):
        if text.startswith("*"):
            if text[1:] not in self.anchors:
                raise Unreadable(f"line {number}: nothing is called {text[1:]}")
            return self.anchors[text[1:]]
        if text.startswith("[") and text.endswith("]"):
            return [self.scalar(item, number) for item in flow_items(text[1:-1])]
        if text[:1] in "'\"" and text[-1:] == text[0] and len(text) > 1:
            return text[1:-1]
        if text[:1] in "[{|>&!'\"":
            raise Unreadable(f"line {number}: {text}")
        return text
