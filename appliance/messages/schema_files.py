"""The JSON Schemas of all messages, made from the models: run `python -m appliance.messages.schema_files`.

They are for those who write the other side, and for tests; the device itself checks with the models.
"""

from __future__ import annotations

import json
from pathlib import Path

from appliance.messages.wire import MESSAGES

FOLDER = Path(__file__).with_name("schemas")


def schema_text(name: str) -> str:
    """The JSON Schema (2020-12) of one message as it is published, as text."""
    schema = MESSAGES[name].model_json_schema(mode="serialization")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:cytoscan:schema:{name}:1.0",
        "title": name,
    }
    return json.dumps({**head, **{key: value for key, value in schema.items() if key != "title"}}, indent=2) + "\n"


def write_all(folder: Path = FOLDER) -> list[Path]:
    """Write one file per message; the files written."""
    written = []
    for name in MESSAGES:
        path = folder / f"{name}.json"
        path.write_text(schema_text(name), encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    write_all()
