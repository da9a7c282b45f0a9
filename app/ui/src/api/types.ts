/* What the server answers, as MLflow's REST API names it. Metric values come as numbers, or as the strings "NaN",
 * "Infinity" and "-Infinity"; int64 may come as a number or as a string. */

export type Num = number | string;

export interface KeyValue {
	key: string;
	value: string;
}

export interface Experiment {
	experiment_id: string;
	name: string;
	artifact_location: string;
	lifecycle_stage: 'active' | 'deleted';
	creation_time?: Num;
	last_update_time?: Num;
	tags?: KeyValue[];
}

export interface RunCount {
	experiment_id: string;
	run_count: number;
	last_run_time?: Num;
}

export type RunStatus = 'RUNNING' | 'SCHEDULED' | 'FINISHED' | 'FAILED' | 'KILLED';

export interface RunInfo {
	run_id: string;
	run_name?: string;
	experiment_id: string;
	user_id?: string;
	status: RunStatus;
	start_time?: Num;
	end_time?: Num;
	artifact_uri?: string;
	lifecycle_stage: 'active' | 'deleted';
}

export interface Metric {
	key: string;
	value: Num;
	timestamp: Num;
	step: Num;
}

export interface Dataset {
	name: string;
	digest: string;
	source_type?: string;
	source?: string;
	schema?: string;
	profile?: string;
}

export interface DatasetInput {
	dataset: Dataset;
	tags?: KeyValue[];
}

export interface Run {
	info: RunInfo;
	data: { metrics?: Metric[]; params?: KeyValue[]; tags?: KeyValue[] };
	inputs?: { dataset_inputs?: DatasetInput[]; model_inputs?: { model_id: string }[] };
	outputs?: { model_outputs?: { model_id: string; step?: Num }[] };
}

/* A row of tallyd/runs/table: only the columns that were asked for, as maps. */
export interface RunRow {
	info: RunInfo;
	metrics: Record<string, Num>;
	params: Record<string, string>;
	tags: Record<string, string>;
	/* of the whole history, where asked for */
	min?: Record<string, Num>;
	max?: Record<string, Num>;
	datasets?: { name: string; digest: string; context?: string }[];
	models?: string[];
}

export interface RunsTable {
	/* absent when it was not asked for */
	total?: number;
	/* continues after the last row */
	next_page_token?: string;
	runs: RunRow[];
}

export interface RunGroup {
	key: Record<string, string | null>;
	count: number;
	run_ids: string[];
	metrics: Record<string, { mean: Num | null; std: Num; min: Num | null; max: Num | null; count: number; finite: number }>;
}

export interface View {
	view_id: string;
	name: string;
	experiment_id: string;
	query: string;
	creation_time: Num;
}

export interface FileInfo {
	path: string;
	is_dir: boolean;
	file_size?: Num;
}

export interface ModelVersion {
	name: string;
	version: string;
	creation_timestamp?: Num;
	last_updated_timestamp?: Num;
	current_stage?: string;
	description?: string;
	user_id?: string;
	source?: string;
	run_id?: string;
	run_link?: string;
	status?: string;
	status_message?: string;
	tags?: KeyValue[];
	aliases?: string[];
	model_id?: string;
}

export interface RegisteredModel {
	name: string;
	creation_timestamp?: Num;
	last_updated_timestamp?: Num;
	description?: string;
	latest_versions?: ModelVersion[];
	tags?: KeyValue[];
	aliases?: { alias: string; version: string }[];
}

export interface LoggedModel {
	info: {
		model_id: string;
		experiment_id: string;
		name?: string;
		creation_timestamp_ms?: Num;
		artifact_uri?: string;
		status?: string;
		model_type?: string;
		source_run_id?: string;
		tags?: KeyValue[];
	};
	data?: { params?: KeyValue[]; metrics?: Metric[] };
}

/* A curve of tallyd/metrics/chart. exact: every point is there and min = max = mean = last. */
export interface Series {
	run_id: string;
	count: number;
	exact: boolean;
	x: Num[];
	min: Num[];
	max: Num[];
	mean: Num[];
	last: Num[];
	n: number[];
}

export interface Change {
	seq?: number;
	experiments?: string[];
	runs?: string[];
	resync?: boolean;
}

/* Which run (or logged model, or model version) an artifact path belongs to. */
export interface ArtifactOwner {
	/* not empty: the files of this logged model rather than the run's */
	model_id?: string;
	run_id: string;
}

/* The value as a number; NaN and the infinities arrive as strings. */
export function num(v: Num | null | undefined): number {
	if (v === null || v === undefined || v === '')
		return NaN;
	return typeof v === 'number' ? v : Number(v);
}
