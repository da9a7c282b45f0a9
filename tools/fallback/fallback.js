// Lists the experiments when the real web UI was not built into the binary.
"use strict";
const state = document.getElementById("state");
fetch("ajax-api/2.0/mlflow/experiments/search", {
	method: "POST",
	headers: { "Content-Type": "application/json" },
	body: JSON.stringify({ max_results: 1000, order_by: ["last_update_time DESC"] }),
}).then(async reply => {
	const found = await reply.json();
	if (!reply.ok)
		throw new Error(found.message || reply.statusText);
	for (const experiment of found.experiments || []) {
		const row = document.getElementById("experiments").insertRow();
		for (const value of [experiment.experiment_id, experiment.name, experiment.artifact_location])
			row.insertCell().textContent = value;
	}
	state.textContent = `${(found.experiments || []).length} experiments`;
}).catch(error => { state.textContent = `Could not read the experiments: ${error.message}`; });
