"""Registered models, their versions, aliases and stages; logged models."""

import secrets
import urllib.parse

import pytest
from rest import together, unique

LONG = "".join(secrets.token_hex(16) for _ in range(1000))  # longer than any index row, and does not compress


def version(client, model, number):
    return client.get(f"model-versions/get?name={model}&version={number}")["model_version"]


def test_64_threads_creating_versions_of_one_model_give_1_to_64(client, tallyd):
    model = client.model()

    def create(i):
        got = tallyd.api("POST", "model-versions/create", {"name": model, "source": f"gs://bucket/{i}"})
        assert got.status == 200, got.body
        return int(got.json()["model_version"]["version"])

    assert sorted(together(64, create)) == list(range(1, 65))


def test_a_version_number_is_not_given_twice(client):
    model = client.model()
    assert [client.version(model) for _ in range(3)] == ["1", "2", "3"]
    client.call("DELETE", "model-versions/delete", {"name": model, "version": "2"})
    assert client.version(model) == "4"
    assert client.refused("GET", f"model-versions/get?name={model}&version=2") == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_model_name_is_taken_once_even_by_32_threads(client, tallyd):
    name = unique("m")

    def create(i):
        return tallyd.api("POST", "registered-models/create", {"name": name, "description": str(i)}).status

    assert sorted(together(32, create)) == [200] + [400] * 31


def test_names_that_differ_only_in_encoding_are_two_models(client):
    """CVE-2024-3099"""
    plain, encoded = unique("a b"), unique("a%20b")
    client.model(plain)
    assert client.refused("GET", f"registered-models/get?name={urllib.parse.quote(plain.replace(' ', '%20'))}")[0] == 404
    answer = client.server.api("POST", "registered-models/create", {"name": encoded})
    assert answer.status in (200, 400)
    if answer.status == 200:
        assert client.get(f"registered-models/get?name={urllib.parse.quote(encoded)}")["registered_model"]["name"] == encoded
    assert client.get(f"registered-models/get?name={urllib.parse.quote(plain)}")["registered_model"]["name"] == plain


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "x" * 501, LONG, 5, None, ["a"], {"a": 1}])
def test_a_model_name_that_cannot_be_is_a_400(client, name):
    assert client.refused("POST", "registered-models/create", {"name": name})[0] == 400
    model = client.model()
    assert client.refused("POST", "registered-models/rename", {"name": model, "new_name": name})[0] == 400


def test_a_model_name_of_500_characters_works(client):
    name = unique("n") + "漢" * 450
    client.model(name)
    client.version(name)
    assert client.get("model-versions/get?" + urllib.parse.urlencode({"name": name, "version": 1}))["model_version"]["name"] == name


def test_an_alias_points_at_one_version_and_goes_with_it(client):
    model = client.model()
    client.version(model)
    client.version(model)
    client.post("registered-models/alias", {"name": model, "alias": "best", "version": "1"})
    client.post("registered-models/alias", {"name": model, "alias": "best", "version": "2"})
    assert client.get(f"registered-models/alias?name={model}&alias=best")["model_version"]["version"] == "2"
    assert version(client, model, 1).get("aliases", []) == []
    assert version(client, model, 2)["aliases"] == ["best"]
    assert client.refused("POST", "registered-models/alias", {"name": model, "alias": "best", "version": "9"})[0] == 404
    for reserved in ("latest", "v1", "1 2"):
        assert client.refused("POST", "registered-models/alias", {"name": model, "alias": reserved, "version": "1"})[0] == 400, reserved
    client.call("DELETE", "model-versions/delete", {"name": model, "version": "2"})
    assert client.refused("GET", f"registered-models/alias?name={model}&alias=best")[0] in (400, 404)


def test_moving_to_a_stage_archives_the_others_when_asked(client):
    model = client.model()
    for _ in range(3):
        client.version(model)

    def move(number, stage, archive):
        return client.post("model-versions/transition-stage", {"name": model, "version": number, "stage": stage, "archive_existing_versions": archive})

    move("1", "Production", False)
    move("2", "production", False)
    assert [version(client, model, n)["current_stage"] for n in (1, 2, 3)] == ["Production", "Production", "None"]
    move("3", "Production", True)
    assert [version(client, model, n)["current_stage"] for n in (1, 2, 3)] == ["Archived", "Archived", "Production"]
    latest = client.get(f"registered-models/get-latest-versions?name={model}&stages=Production")["model_versions"]
    assert [v["version"] for v in latest] == ["3"]
    assert client.refused("POST", "model-versions/transition-stage", {"name": model, "version": "1", "stage": "Gone"})[0] == 400
    assert client.refused("POST", "model-versions/transition-stage", {"name": model, "version": "1", "stage": "None", "archive_existing_versions": True})[0] == 400


def test_a_rename_takes_versions_and_aliases_along(client):
    old, new = client.model(), unique("renamed")
    client.version(old)
    client.post("registered-models/alias", {"name": old, "alias": "best", "version": "1"})
    client.post("registered-models/rename", {"name": old, "new_name": new})
    assert client.get(f"registered-models/alias?name={new}&alias=best")["model_version"]["name"] == new
    assert client.refused("GET", f"registered-models/get?name={old}")[0] == 404
    taken = client.model()
    assert client.refused("POST", "registered-models/rename", {"name": new, "new_name": taken}) == (400, "RESOURCE_ALREADY_EXISTS")


def test_a_deleted_model_takes_its_versions_along_and_starts_anew(client):
    model = client.model()
    client.version(model)
    client.call("DELETE", "registered-models/delete", {"name": model})
    assert client.refused("GET", f"model-versions/get?name={model}&version=1")[0] == 404
    client.model(model)
    assert client.version(model) == "1"


def test_version_search_pages_hold_each_version_once(client):
    model = client.model()
    for _ in range(9):
        client.version(model)
    seen, token = [], ""
    while True:
        found = client.get("model-versions/search?" + urllib.parse.urlencode({"filter": f"name='{model}'", "max_results": 2}) + token)
        seen += [int(v["version"]) for v in found.get("model_versions", [])]
        if not found.get("next_page_token"):
            break
        client.version(model)
        token = "&page_token=" + urllib.parse.quote(found["next_page_token"])
    assert len(seen) == len(set(seen)) and set(range(1, 10)) <= set(seen)


def test_a_token_of_another_model_search_is_a_400(client):
    model = client.model()
    for _ in range(3):
        client.version(model)
    token = client.get("model-versions/search?" + urllib.parse.urlencode({"filter": f"name='{model}'", "max_results": 1}))["next_page_token"]
    assert client.refused("GET", "model-versions/search?" + urllib.parse.urlencode({"filter": "name='other'", "max_results": 1, "page_token": token}))[0] == 400


def test_a_logged_model_lives_through_its_states(client):
    e = client.experiment()
    made = client.post("logged-models", {"experiment_id": e, "name": "m", "params": [{"key": "p", "value": "1"}], "tags": [{"key": "t", "value": "1"}]})["model"]["info"]
    path = f"logged-models/{made['model_id']}"
    assert made["status"] == "LOGGED_MODEL_PENDING"
    client.call("PATCH", path, {"model_id": made["model_id"], "status": "LOGGED_MODEL_READY"})
    assert client.get(path)["model"]["info"]["status"] == "LOGGED_MODEL_READY"
    client.call("PATCH", path + "/tags", {"tags": [{"key": "t", "value": "2"}]})
    assert {"key": "t", "value": "2"} in client.get(path)["model"]["info"]["tags"]
    client.call("DELETE", path)
    assert client.refused("GET", path)[0] == 404
