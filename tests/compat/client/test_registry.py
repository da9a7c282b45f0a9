"""The registry through the client: versions, aliases, stages, tags, copies, every models:/ address, prompts."""

import warnings

import mlflow
import numpy as np
import pytest
from mlflow import MlflowException
from sklearn.linear_model import LinearRegression

X = np.array([[1.0], [2.0], [3.0]])


@pytest.fixture
def fitted(experiment):
    """Three models of different slope, each logged in a run of its own."""
    made = []
    for slope in (1.0, 2.0, 3.0):
        model = LinearRegression().fit(X, slope * X[:, 0])
        with mlflow.start_run() as run:
            info = mlflow.sklearn.log_model(model, name="model", input_example=X)
        made.append((run.info.run_id, info))
    return made


def predicts(uri):
    return round(float(mlflow.sklearn.load_model(uri).predict(np.array([[1.0]]))[0]), 6)


def test_registered_versions_load_by_every_address(fitted, client, unique):
    name = "Model " + unique
    for i, (run_id, info) in enumerate(fitted):
        version = mlflow.register_model(f"runs:/{run_id}/model" if i else info.model_uri, name, tags={"slope": str(i + 1)})
        assert version.version == str(i + 1) or int(version.version) == i + 1
        assert version.status == "READY"
    client.set_registered_model_alias(name, "champion", "2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client.transition_model_version_stage(name, "3", "Production")
        assert predicts(f"models:/{name}/Production") == 3.0
        assert predicts(f"models:/{name}/latest") == 3.0
    assert predicts(f"models:/{name}/1") == 1.0
    assert predicts(f"models:/{name}@champion") == 2.0
    assert predicts(f"runs:/{fitted[0][0]}/model") == 1.0
    assert predicts(f"models:/{fitted[1][1].model_id}") == 2.0
    client.set_registered_model_alias(name, "champion", "3")
    assert predicts(f"models:/{name}@champion") == 3.0
    assert client.get_model_version(name, "2").tags == {"slope": "2"}


def test_copy_keeps_the_model_loadable(fitted, client, unique):
    mlflow.register_model(fitted[1][1].model_uri, unique + "-dev")
    copied = client.copy_model_version(f"models:/{unique}-dev/1", unique + "-prod")
    assert copied.source == f"models:/{unique}-dev/1"
    assert predicts(f"models:/{unique}-prod/1") == 2.0
    assert client.get_model_version_download_uri(unique + "-prod", "1") == client.get_model_version_download_uri(unique + "-dev", "1")


def test_log_model_registers_in_one_call(experiment, client, unique):
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(LinearRegression().fit(X, X[:, 0]), name="m", registered_model_name=unique)
    version = client.get_model_version(unique, "1")
    assert version.run_id == run.info.run_id
    assert predicts(f"models:/{unique}/1") == 1.0


def test_model_life(client, unique):
    made = client.create_registered_model(unique, {"team": "red"}, "first *words*")
    assert made.description == "first *words*" and made.tags == {"team": "red"}
    client.update_registered_model(unique, "second")
    client.set_registered_model_tag(unique, "level", 3)
    client.delete_registered_model_tag(unique, "team")
    got = client.get_registered_model(unique)
    assert got.description == "second" and got.tags == {"level": "3"}
    assert got.last_updated_timestamp >= got.creation_timestamp
    client.rename_registered_model(unique, unique + "-new")
    with pytest.raises(MlflowException, match="not found"):
        client.get_registered_model(unique)
    client.delete_registered_model(unique + "-new")
    with pytest.raises(MlflowException, match="not found"):
        client.get_registered_model(unique + "-new")


def test_second_create_is_refused(client, unique):
    client.create_registered_model(unique)
    with pytest.raises(MlflowException) as caught:
        client.create_registered_model(unique)
    assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"


def test_stages_archive_the_others(client, unique):
    client.create_registered_model(unique)
    for _ in range(3):
        client.create_model_version(unique, "s3://bucket/model")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client.transition_model_version_stage(unique, "1", "Staging")
        client.transition_model_version_stage(unique, "2", "staging", archive_existing_versions=True)
        assert {v.version: v.current_stage for v in client.get_latest_versions(unique)} == {"1": "Archived", "2": "Staging", "3": "None"} or \
            {int(v.version): v.current_stage for v in client.get_latest_versions(unique)} == {1: "Archived", 2: "Staging", 3: "None"}
        assert [int(v.version) for v in client.get_latest_versions(unique, ["Staging"])] == [2]


def test_version_numbers_are_never_used_again(client, unique):
    client.create_registered_model(unique)
    for _ in range(3):
        client.create_model_version(unique, "s3://bucket/model")
    client.delete_model_version(unique, "3")
    assert int(client.create_model_version(unique, "s3://bucket/model").version) == 4
    with pytest.raises(MlflowException):
        client.get_model_version(unique, "3")


def test_version_life(client, unique):
    client.create_registered_model(unique)
    client.create_model_version(unique, "s3://bucket/model", tags={"a": "1"}, description="d")
    client.update_model_version(unique, "1", "e")
    client.set_model_version_tag(unique, "1", "b", "2")
    client.delete_model_version_tag(unique, "1", "a")
    client.set_registered_model_alias(unique, "best", "1")
    got = client.get_model_version(unique, "1")
    assert (got.description, got.tags, got.aliases) == ("e", {"b": "2"}, ["best"])
    assert int(client.get_model_version_by_alias(unique, "best").version) == 1
    client.delete_registered_model_alias(unique, "best")
    with pytest.raises(MlflowException):
        client.get_model_version_by_alias(unique, "best")


def test_searches_page_and_order(client, unique):
    for i in range(7):
        client.create_registered_model(f"{unique}-{i}", {"odd": str(i % 2)})
        client.create_model_version(f"{unique}-{i}", "s3://bucket/model")
    names, token = [], None
    while True:
        page = client.search_registered_models(f"name LIKE '{unique}-%'", max_results=3, order_by=["name DESC"], page_token=token)
        names += [m.name for m in page]
        token = page.token
        if not token:
            break
    assert names == [f"{unique}-{i}" for i in reversed(range(7))]
    assert len(client.search_registered_models(f"name LIKE '{unique}-%' AND tags.odd = '1'")) == 3
    assert [v.name for v in client.search_model_versions(f"name LIKE '{unique}-%'", order_by=["name ASC"], max_results=2)] == [f"{unique}-0", f"{unique}-1"]
    assert len(client.search_model_versions(f"name = '{unique}-3'")) == 1


def test_prompts(client, unique):
    name = "greeting-" + unique
    first = mlflow.genai.register_prompt(name=name, template="Hello {{who}}", commit_message="first", tags={"lang": "en"})
    assert first.version == 1
    second = mlflow.genai.register_prompt(name=name, template=[{"role": "system", "content": "You greet."}, {"role": "user", "content": "Greet {{who}}!"}], commit_message="chat")
    assert second.version == 2
    assert mlflow.genai.load_prompt(f"prompts:/{name}/1").format(who="Ann") == "Hello Ann"
    mlflow.genai.set_prompt_alias(name, "production", 1)
    assert mlflow.genai.load_prompt(f"prompts:/{name}@production").version == 1
    assert mlflow.genai.load_prompt(name, version=2).template[1]["content"] == "Greet {{who}}!"
    assert name in [p.name for p in mlflow.genai.search_prompts(f"name = '{name}'")]
    assert name not in [m.name for m in client.search_registered_models(f"name LIKE '{name}%'")]
    with pytest.raises(MlflowException):
        client.create_registered_model(name)
    mlflow.genai.delete_prompt_alias(name, "production")
