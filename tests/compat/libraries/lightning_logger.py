"""
PyTorch Lightning's MLFlowLogger against a running server: params, histories by step, a checkpoint as artifact, the run's end.
    TALLYD_URL=... python tests/compat/libraries/lightning_logger.py
In an environment with mlflow, lightning and torch; run.py makes it.
"""

import os
import tempfile
import uuid

import lightning
import mlflow
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import MLFlowLogger

URL = os.environ["TALLYD_URL"]
WORD = uuid.uuid4().hex[:8]
client = mlflow.MlflowClient(URL)


class Line(lightning.LightningModule):
    def __init__(self, width=3, rate=0.1):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(width, 1)

    def training_step(self, batch, number):
        x, y = batch
        loss = torch.nn.functional.mse_loss(self.layer(x), y)
        self.log("loss", loss)
        return loss

    def validation_step(self, batch, number):
        x, y = batch
        self.log("val/loss", torch.nn.functional.mse_loss(self.layer(x), y))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.rate)


torch.manual_seed(1)
x = torch.rand(64, 3)
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x.sum(dim=1, keepdim=True)), batch_size=8)
logger = MLFlowLogger("lightning-" + WORD, run_name="first", tracking_uri=URL, tags={"team": "cellar"}, log_model="all")
with tempfile.TemporaryDirectory() as folder:
    trainer = lightning.Trainer(max_epochs=3, logger=logger, log_every_n_steps=2, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False,
                                callbacks=[ModelCheckpoint(dirpath=folder, filename="{epoch}", save_top_k=-1)])
    trainer.fit(Line(), data, data)

run = client.get_run(logger.run_id)
assert client.get_experiment(run.info.experiment_id).name == "lightning-" + WORD
assert (run.info.run_name, run.info.status, run.data.tags["team"]) == ("first", "FINISHED", "cellar"), run.info
assert run.data.params == {"width": "3", "rate": "0.1"}, run.data.params
assert [p.step for p in client.get_metric_history(logger.run_id, "loss")] == list(range(1, 24, 2))
assert [p.step for p in client.get_metric_history(logger.run_id, "val/loss")] == [7, 15, 23]
assert run.data.metrics["val/loss"] == client.get_metric_history(logger.run_id, "val/loss")[-1].value
kept = [f.path for f in client.list_artifacts(logger.run_id)]
assert kept == ["epoch=0", "epoch=1", "epoch=2"], kept
with tempfile.TemporaryDirectory() as folder:
    path = client.download_artifacts(logger.run_id, kept[-1], folder)
    found = [os.path.join(where, f) for where, _, files in os.walk(path) for f in files if f.endswith(".ckpt")]
    Line.load_from_checkpoint(found[0])
print("ok   MLFlowLogger, checkpoints")
