"""The numbered rules of docs/protocol.md as data, so that a report can quote them: protocol/rules.json."""

import json
import re

RULE = re.compile(r"^(?:\*\*[^*\n]+\*\* )?\[(\d+-\d+)\] ", re.MULTILINE)
ABOUT = "The numbered rules of docs/protocol.md, word for word. Made from that document."


def rules_of(document: str) -> dict[str, str]:
    """Text by number, in the order of the document. A rule is the paragraph that its number begins."""
    parts = RULE.split(document)[1:]  # number and what follows it, in turns
    return {
        number: " ".join(text.split("\n\n")[0].split()) for number, text in zip(parts[::2], parts[1::2], strict=True)
    }


def as_json(document: str) -> str:
    """The text of protocol/rules.json."""
    return json.dumps({"about": ABOUT, "rules": rules_of(document)}, indent=2, ensure_ascii=False) + "\n"
