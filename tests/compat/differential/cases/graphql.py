"""The two GraphQL operations of MLflow's own UI."""

EXPERIMENT = """query MlflowGetExperimentQuery($input: MlflowGetExperimentInput!) @component(name: "MLflow.ExperimentRunTracking") {
  mlflowGetExperiment(input: $input) {
    __typename
    apiError { __typename code message }
    experiment { __typename artifactLocation creationTime effectiveTraceArchivalRetention experimentId lastUpdateTime lifecycleStage name tags { __typename key value } }
  }
}"""

RUN = """query GetRun($data: MlflowGetRunInput!) @component(name: "MLflow.ExperimentRunTracking") {
  mlflowGetRun(input: $data) {
    __typename
    apiError { __typename helpUrl code message }
    run {
      __typename
      info { __typename runName status runUuid experimentId artifactUri endTime lifecycleStage startTime userId }
      experiment { __typename experimentId name tags { __typename key value } artifactLocation lifecycleStage lastUpdateTime }
      modelVersions { __typename status version name source }
      data { __typename metrics { __typename key value step timestamp } params { __typename key value } tags { __typename key value } }
      inputs { __typename datasetInputs { __typename dataset { __typename digest name profile schema source sourceType } tags { __typename key value } } modelInputs { __typename modelId } }
      outputs { __typename modelOutputs { __typename modelId step } }
    }
  }
}"""


def cases(t):
    t.post("experiment", "experiments/create", {"name": "${u}-gql", "tags": [{"key": "a", "value": "1"}]}, save={"exp": "experiment_id"})
    t.post("run", "runs/create", {"experiment_id": "${exp}", "start_time": 1600000000000, "user_id": "ann", "run_name": "r", "tags": [{"key": "k", "value": "v"}]}, save={"run": "run.info.run_id"})
    t.post("bare run", "runs/create", {"experiment_id": "${exp}", "run_name": "bare"}, save={"bare": "run.info.run_id"})
    t.post("batch", "runs/log-batch", {"run_id": "${run}", "metrics": [{"key": "m", "value": 0.5, "timestamp": 5, "step": 3}, {"key": "nan", "value": "NaN", "timestamp": 5, "step": 3}, {"key": "inf", "value": "Infinity", "timestamp": 5, "step": 3}],
                                       "params": [{"key": "p", "value": "1"}]})
    t.post("inputs", "runs/log-inputs", {"run_id": "${run}", "datasets": [{"tags": [{"key": "mlflow.data.context", "value": "training"}], "dataset": {"name": "wine", "digest": "d", "source_type": "s", "source": "x"}}]})
    t.post("logged model", "logged-models", {"experiment_id": "${exp}", "name": "m", "source_run_id": "${run}"}, save={"lm": "model.info.model_id"})
    t.post("outputs", "runs/outputs", {"run_id": "${run}", "models": [{"model_id": "${lm}", "step": 3}]})
    t.post("model input", "runs/log-inputs", {"run_id": "${run}", "models": [{"model_id": "${lm}"}]})
    t.post("model", "registered-models/create", {"name": "${u}-gql"})
    t.post("version", "model-versions/create", {"name": "${u}-gql", "source": "gs://b/p", "run_id": "${run}"})
    t.post("finish", "runs/update", {"run_id": "${run}", "status": "FINISHED", "end_time": 1600000009000})

    def ask(case, operation, query, variables, **more):
        body = {"operationName": operation, "query": query, "variables": variables}
        t.post(case, "/graphql", {k: v for k, v in body.items() if v is not None}, **more)

    ask("get experiment", "MlflowGetExperimentQuery", EXPERIMENT, {"input": {"experimentId": "${exp}"}})
    ask("get the default", "MlflowGetExperimentQuery", EXPERIMENT, {"input": {"experimentId": "0"}}, compare="status")
    ask("get unknown experiment", "MlflowGetExperimentQuery", EXPERIMENT, {"input": {"experimentId": "999999999"}})
    ask("get word experiment", "MlflowGetExperimentQuery", EXPERIMENT, {"input": {"experimentId": "abc"}})
    ask("get run", "GetRun", RUN, {"data": {"runId": "${run}"}})
    ask("get bare run", "GetRun", RUN, {"data": {"runId": "${bare}"}})
    ask("get unknown run", "GetRun", RUN, {"data": {"runId": "0" * 32}})
    t.post("delete run", "runs/delete", {"run_id": "${bare}"})
    ask("get deleted run", "GetRun", RUN, {"data": {"runId": "${bare}"}})
    ask("get run of deleted experiment", "GetRun", RUN, {"data": {"runId": "${run}"}})
