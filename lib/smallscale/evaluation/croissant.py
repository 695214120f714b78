"""How is a data set described so that a machine can read it? Croissant, by MLCommons.

Akhtar et al. 2024, "Croissant: A Metadata Format for ML-Ready Datasets". A description
names the files with their sums, and what stands in them, field by field.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from smallscale.core.validation import require, shown

TERMS = (
    "citeAs column equivalentProperty extract field fileObject fileProperty fileSet "
    "format includes isLiveDataset jsonPath key md5 parentField path recordSet "
    "references regex repeated replace samplingRate separator source subField transform"
)
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    **{term: f"cr:{term}" for term in TERMS.split()},
}
FORMATS = {
    ".csv": "text/csv",
    ".gz": "application/gzip",
    ".tsv": "text/tab-separated-values",
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".txt": "text/plain",
}


@dataclass(frozen=True)
class Records:
    """The records of one file: a row, a line or an object each.

    file: relative to the described folder. fields: what each column or key means, and
    the type that schema.org gives it, such as "sc:Integer". paths: where each field
    lies in a file of nested JSON, as JSONPath; empty for rows and lines.
    """

    name: str
    file: str
    fields: Mapping[str, tuple[str, str]]
    paths: Mapping[str, str]


def describe_folder(
    folder: Path, files: list[str], records: list[Records], **about: str
) -> dict[str, Any]:
    """Return the Croissant description of a folder's files, as plain JSON values.

    files: their paths in it, with forward slashes. records: what stands in some of
    them. about: what schema.org asks of a data set, such as name and description.
    Raises OSError for a file that cannot be read, and ValueError for a file of a format
    that is not in FORMATS, and for records or fields that would share one @id.
    """
    ids = [each.name for each in records]
    ids += [_field_id(each, field) for each in records for field in each.fields]
    again = sorted({each for each in ids if ids.count(each) > 1})
    require(
        not again,
        f"records must have names and fields whose @id differ; {shown(again)} comes "
        "twice: a space counts as a hyphen",
    )
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        **about,
        "distribution": [_file(folder, name) for name in files],
        "recordSet": [_record_set(each) for each in records],
    }


def _file(folder: Path, name: str) -> dict[str, str]:
    ending = Path(name).suffix.lower()
    require(
        ending in FORMATS,
        f"files must end in one of {', '.join(FORMATS)}; got {shown(name)}: describe "
        "it under another name, or leave it out",
    )
    content = (folder / name).read_bytes()
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{len(content)} B",
        "encodingFormat": FORMATS[ending],
        "sha256": sha256(content).hexdigest(),
    }


def _record_set(records: Records) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": records.name,
        "name": records.name,
        "field": [
            {
                "@type": "cr:Field",
                "@id": _field_id(records, field),
                "name": field,
                "description": meaning,
                "dataType": kind,
                "source": {
                    "fileObject": {"@id": records.file},
                    "extract": {"jsonPath": records.paths[field]}
                    if records.paths
                    else {"column": field},
                },
            }
            for field, (meaning, kind) in records.fields.items()
        ],
    }


def _field_id(records: Records, field: str) -> str:
    return f"{records.name}/{field}".replace(" ", "-")
