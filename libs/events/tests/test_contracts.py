"""What was ever written can be read for ever; what would break a reader is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from libs.events import schemas
from libs.events.compatibility import breaks
from libs.events.contracts.base import Contract, Event, contract, decode, encode, model_of, registered
from libs.events.envelope import InvalidMessage
from libs.events.tests.world import Count, Counted
from libs.events.upcasters import newest, upcaster

CORPUS = Path(__file__).parents[1] / "corpus"
SPECIMENS = sorted(CORPUS.glob("*.json"))

schemas.load_contracts()
MODELS = [model for service in schemas.services() for model in registered(service)]


@contract("counter.weighed.v3")
class Weighed(Event):
    """The newest version of a type that had two others."""

    grams: int
    scale: str = "kitchen"


@upcaster("counter.weighed.v1", "counter.weighed.v2")
def _into_grams(payload: dict[str, Any]) -> dict[str, Any]:
    return {"grams": payload["kilograms"] * 1000}


@upcaster("counter.weighed.v2", "counter.weighed.v3")
def _name_the_scale(payload: dict[str, Any]) -> dict[str, Any]:
    return {**payload, "scale": "old"}


@pytest.mark.parametrize("specimen", SPECIMENS, ids=[path.stem for path in SPECIMENS])
def test_every_version_that_was_ever_written_folds_byte_for_byte(specimen: Path) -> None:
    """A specimen of an old version lies beside `<type>.folded.json`, what the newest version makes of it.

    `<type>+<what>.json` are further specimens of a type: of fields that were added to it later.
    """
    if specimen.stem.endswith(".folded"):
        assert specimen.with_name(specimen.name.replace(".folded", "")).exists()
        return
    folded = specimen.with_suffix(".folded.json")
    message = decode(specimen.stem.partition("+")[0], specimen.read_bytes())
    assert message is not None
    assert encode(message) == (folded if folded.exists() else specimen).read_bytes()


@pytest.mark.parametrize("model", MODELS, ids=[model.TYPE for model in MODELS])
def test_every_contract_has_specimens_with_all_of_its_fields(model: type[Contract]) -> None:
    files = [CORPUS / f"{model.TYPE}.json", *sorted(CORPUS.glob(f"{model.TYPE}+*.json"))]
    specimens = [json.loads(file.read_bytes()) for file in files]
    assert {name for specimen in specimens for name in specimen} == set(model.model_fields)
    for specimen in specimens:
        jsonschema.Draft202012Validator(schemas.schema_of(model)).validate(specimen)


def test_an_old_version_is_lifted_to_the_newest() -> None:
    assert newest("counter.weighed.v1") == "counter.weighed.v3"
    assert decode("counter.weighed.v1", b'{"kilograms":2}') == Weighed(grams=2000, scale="old")
    with pytest.raises(InvalidMessage, match="invalid_payload"):
        decode("counter.weighed.v1", b'{"pounds":2}')
    with pytest.raises(ValueError, match="next version"):
        upcaster("counter.weighed.v1", "counter.weighed.v3")


def test_events_are_read_tolerantly_and_commands_strictly() -> None:
    assert decode("counter.counted.v1", b'{"number":1,"colour":"red"}') == Counted(number=1)
    with pytest.raises(InvalidMessage) as caught:
        decode("counter.count.v1", b'{"number":1,"colour":"red"}')
    assert (caught.value.reason, caught.value.detail) == (
        "invalid_payload",
        "counter.count.v1 colour: Extra inputs are not permitted",
    )
    assert decode("counter.count.v1", b'{"number":1}') == Count(number=1)
    assert decode("elsewhere.happened.v1", b"?") is None
    with pytest.raises(InvalidMessage):
        decode("counter.counted.v1", b"not json")


def test_a_name_belongs_to_one_model() -> None:
    assert model_of("counter.count.v1") is Count
    with pytest.raises(ValueError, match="registered already"):
        contract("counter.count.v1")(Count)
    with pytest.raises(ValueError, match="is not"):
        contract("Counter.Count")(Count)


def test_what_is_committed_is_what_the_contracts_generate() -> None:
    documents = schemas.generate(schemas.services())
    assert list(schemas.broken(schemas.ROOT, documents)) == []
    assert list(schemas.differences(schemas.ROOT, documents)) == []


def test_schemas_and_asyncapi_are_valid() -> None:
    for path, document in schemas.generate(schemas.services()).items():
        if path.name == "asyncapi.json":
            assert document["asyncapi"] == "3.0.0"
            for channel in document["channels"].values():
                for reference in channel["messages"].values():
                    assert reference["$ref"].rpartition("/")[2] in document["components"]["messages"]
            for name, message in document["components"]["messages"].items():
                if name != "tallystick.heartbeat.v1":
                    target = schemas.ROOT / path.parent / message["payload"]["schema"]["$ref"]
                    assert target.exists()
        else:
            jsonschema.Draft202012Validator.check_schema(document)


OLD = {
    "properties": {
        "amount": {"type": "string"},
        "part": {"$ref": "#/$defs/Part"},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}},
        "policy": {"enum": ["a", "b"]},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
    },
    "required": ["amount", "part"],
    "$defs": {"Part": {"type": "object", "properties": {"lot": {"type": "string"}}, "required": ["lot"]}},
}


def _changed(*path: str, value: Any) -> dict[str, Any]:
    new = copy.deepcopy(OLD)
    place: Any = new
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return new


@pytest.mark.parametrize(
    ("new", "event", "command"),
    [
        (_changed("properties", "colour", value={"type": "string"}), None, None),
        (_changed("properties", "amount", "description", value="said better"), None, None),
        (_changed("properties", "amount", value=None), "field amount was removed", "field amount was removed"),
        (_changed("properties", "amount", "type", value="integer"), "amount was retyped", "amount was retyped"),
        (_changed("required", value=["amount", "part", "note"]), "field note is newly", "field note is newly"),
        (_changed("required", value=["part"]), "field amount is no longer always there", None),
        (_changed("properties", "policy", "enum", value=["a"]), "policy no longer allows", "policy no longer allows"),
        (_changed("properties", "note", "default", value="?"), "the default of note", "the default of note"),
        (
            _changed("properties", "note", "anyOf", value=[{"type": "null"}]),
            "note no longer takes",
            "note no longer takes",
        ),
        (
            _changed("properties", "amount", value={"anyOf": [{"type": "string"}, {"type": "integer"}]}),
            "amount was given more types",
            None,
        ),
        (
            _changed("$defs", "Part", "properties", "lot", "type", value="integer"),
            "part.lot was retyped",
            "part.lot was retyped",
        ),
    ],
)
def test_what_breaks_a_reader_is_told(new: dict[str, Any], event: str | None, command: str | None) -> None:
    for kind, expected in (("event", event), ("command", command)):
        found = list(breaks(OLD, new, kind))  # type: ignore[arg-type]
        assert found[0].startswith(expected) if expected else not found, (kind, found)


def test_writing_refuses_what_breaks_a_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert schemas.main(["check"], tmp_path) == 1
    assert "is not committed" in capsys.readouterr().err
    assert schemas.main(["write"], tmp_path) == 0
    assert schemas.main(["check"], tmp_path) == 0
    path = tmp_path / "tallystick" / "schemas" / "tallystick.dead_lettered.v1.json"
    old = json.loads(path.read_text())
    old["properties"]["colour"] = {"type": "string"}
    path.write_text(json.dumps(old))
    assert schemas.main(["write"], tmp_path) == 1
    assert "field colour was removed" in capsys.readouterr().err
    assert json.loads(path.read_text()) == old
