"""How is a data set described so that a machine can read it? Croissant, by MLCommons.

Akhtar et al. 2024. A description names the files with their sums, and what stands in
them, field by field.
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
FIELDS = {
    "key": "the hash of model, prompt and settings",
    "model": "which model was asked: a name with a hash",
    "prompt": "the whole text that the model continued",
}


def describe_answers(path: Path) -> dict[str, Any]:
    """Return the Croissant description of a file of recorded answers.

    path: as `RecordedModel` writes it. Its settings and answer differ in form from line
    to line, so they are told of and are no fields.
    """
    size = path.stat().st_size
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": "smallscale-holistic-answers",
        "description": "What SmolLM2-135M-Instruct answered in a miniature of HELM: "
        "one answer a line. Beside the fields, settings holds how it was asked, and "
        "answer the text that it wrote or the log-probabilities of the options.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": "https://opensource.org/licenses/MIT",
        "url": "https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        "version": "1.0.0",
        "datePublished": "2026-11-29",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "answers",
                "name": "answers",
                "contentUrl": path.name,
                "contentSize": f"{size} B",
                "encodingFormat": "application/jsonlines",
                "sha256": sha256(path.read_bytes()).hexdigest(),
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "lines",
                "name": "lines",
                "key": {"@id": "lines/key"},
                "field": [_field(name, words) for name, words in FIELDS.items()],
            }
        ],
    }


def _field(name: str, description: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"lines/{name}",
        "name": name,
        "description": description,
        "dataType": "sc:Text",
        "source": {"fileObject": {"@id": "answers"}, "extract": {"column": name}},
    }


def write_description(path: Path) -> Path:
    """Write the description beside a file of recorded answers, and return its path."""
    target = path.with_suffix(".croissant.json")
    text = json.dumps(describe_answers(path), indent=1, sort_keys=True)
    target.write_text(text + "\n", encoding="utf-8")
    return target
