import java.io.File;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import org.mlflow.api.proto.Service;
import org.mlflow.tracking.MlflowClient;

/** The walk of the Java client. Only calls that 0.9, 1.x and 2.x share are bound; later ones are looked up by name. */
public class Walk {
	static int passed;
	static int failed;

	interface Step {
		void run() throws Exception;
	}

	static void step(String name, Step step) {
		try {
			step.run();
			passed++;
			System.out.println("ok   " + name);
		} catch (Throwable reason) {
			failed++;
			System.out.println("FAIL " + name + ": " + reason);
		}
	}

	static void check(boolean good, String what) {
		if (!good)
			throw new IllegalStateException(what);
	}

	/** The client's method, or null where this version has none. */
	static Method method(String name, Class<?>... types) {
		try {
			return MlflowClient.class.getMethod(name, types);
		} catch (NoSuchMethodException none) {
			return null;
		}
	}

	public static void main(String[] args) throws Exception {
		MlflowClient client = new MlflowClient(System.getenv("TALLYD_URL"));
		String name = "java" + UUID.randomUUID().toString().substring(0, 8);
		String experiment = client.createExperiment(name);
		String[] run = new String[1];

		step("experiment: by name, get, rename, delete, restore", () -> {
			Optional<Service.Experiment> found = client.getExperimentByName(name);
			check(found.isPresent() && found.get().getExperimentId().equals(experiment), "by name");
			check(!client.getExperimentByName(name + " none").isPresent(), "unknown name");
			client.getExperiment(experiment);
			client.renameExperiment(experiment, name + " new");
			client.deleteExperiment(experiment);
			client.restoreExperiment(experiment);
		});
		step("experiment: list", () -> {
			Method list = method("listExperiments");
			if (list != null)
				check(((List<?>)list.invoke(client)).size() > 1, "list");
		});
		step("experiment: tag", () -> {
			Method tag = method("setExperimentTag", String.class, String.class, String.class);
			if (tag != null)
				tag.invoke(client, experiment, "team", "red");
		});
		step("run: create, params, metrics, tags", () -> {
			run[0] = client.createRun(experiment).getRunUuid();
			client.logParam(run[0], "alpha", "0.5");
			client.logMetric(run[0], "rmse", 1.25);
			client.logMetric(run[0], "nan", Double.NaN);
			client.setTag(run[0], "team", "red");
			Service.Run got = client.getRun(run[0]);
			check(got.getData().getParams(0).getValue().equals("0.5"), "param");
			check(got.getData().getMetricsCount() == 2, "metrics");
			check(got.getInfo().getArtifactUri().length() > 0, "artifact uri");
		});
		step("run: batch", () -> {
			client.logBatch(run[0], Arrays.asList(Service.Metric.newBuilder().setKey("b").setValue(2).setTimestamp(1600000000000L).build()),
			    Arrays.asList(Service.Param.newBuilder().setKey("p").setValue("1").build()), Arrays.asList(Service.RunTag.newBuilder().setKey("t").setValue("x").build()));
			check(client.getRun(run[0]).getData().getParamsCount() == 2, "params of the batch");
		});
		step("run: steps and history", () -> {
			Method log = method("logMetric", String.class, String.class, double.class, long.class, long.class);
			Method history = method("getMetricHistory", String.class, String.class);
			if (log == null)
				return;
			for (long i = 0; i < 100; i++)
				log.invoke(client, run[0], "loss", 1.0 / (i + 1), 1600000000000L + i, i - 3);
			check(((List<?>)history.invoke(client, run[0], "loss")).size() == 100, "history");
		});
		step("artifacts: file, folder, list, download", () -> {
			Path folder = Files.createTempDirectory("walk");
			File file = Files.write(folder.resolve("a b.txt"), "line\n".getBytes(StandardCharsets.UTF_8)).toFile();
			client.logArtifact(run[0], file);
			client.logArtifact(run[0], file, "in/deep");
			client.logArtifacts(run[0], folder.toFile(), "all");
			check(client.listArtifacts(run[0]).size() == 3, "root: " + client.listArtifacts(run[0]));
			check(client.listArtifacts(run[0], "in/deep").get(0).getPath().equals("in/deep/a b.txt"), "below");
			File got = client.downloadArtifacts(run[0], "in");
			check(new String(Files.readAllBytes(got.toPath().resolve("deep/a b.txt")), StandardCharsets.UTF_8).equals("line\n"), "content");
		});
		step("run: ends", () -> {
			client.setTerminated(run[0], Service.RunStatus.FINISHED, 1600000001000L);
			check(client.getRun(run[0]).getInfo().getStatus() == Service.RunStatus.FINISHED, "status");
		});
		step("run: delete and restore", () -> {
			client.deleteRun(run[0]);
			check(client.getRun(run[0]).getInfo().getLifecycleStage().equals("deleted"), "deleted");
			client.restoreRun(run[0]);
		});
		step("runs: search", () -> {
			List<Service.RunInfo> found = client.searchRuns(Collections.singletonList(experiment), "metrics.rmse > 1 and params.alpha = '0.5'");
			check(found.size() == 1 && found.get(0).getRunUuid().equals(run[0]), "found " + found.size());
		});
		step("a mistake is an exception", () -> {
			try {
				client.getRun("00000000000000000000000000000000");
			} catch (Exception expected) {
				check(expected.getMessage().contains("RESOURCE_DOES_NOT_EXIST"), expected.getMessage());
				return;
			}
			throw new IllegalStateException("no exception");
		});
		step("registry: create, version, stage, latest, download uri", () -> {
			client.sendPost("registered-models/create", "{\"name\": \"" + name + "\"}");
			client.sendPost("model-versions/create", "{\"name\": \"" + name + "\", \"source\": \"s3://bucket/model\"}");
			client.sendPost("model-versions/transition-stage", "{\"name\": \"" + name + "\", \"version\": \"1\", \"stage\": \"Staging\", \"archive_existing_versions\": false}");
			check(client.sendGet("registered-models/get?name=" + name).contains("Staging"), "stage");
			Method latest = method("getLatestVersions", String.class, Iterable.class);
			if (latest == null)
				return;
			check(((List<?>)latest.invoke(client, name, Arrays.asList("Staging", "None"))).size() == 1, "latest");
			check(method("getModelVersionDownloadUri", String.class, String.class).invoke(client, name, "1").equals("s3://bucket/model"), "uri");
		});
		step("registry and experiments: search", () -> {
			Method search = method("searchModelVersions", String.class);
			if (search == null)
				return;
			Object page = search.invoke(client, "name = '" + name + "'");
			check(((List<?>)page.getClass().getMethod("getItems").invoke(page)).size() == 1, "versions");
			page = method("searchExperiments", String.class).invoke(client, "name = '" + name + " new'");
			check(((List<?>)page.getClass().getMethod("getItems").invoke(page)).size() == 1, "experiments");
		});
		System.out.println(passed + " passed, " + failed + " failed");
		System.exit(failed == 0 ? 0 : 1);
	}
}
