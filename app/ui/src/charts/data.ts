/* What charts need from the server: thinned curves, whole runs, metric keys. Curves are kept for a while, so that scrolling
   back to a chart draws it at once. */

import { get, post } from '../api/client';
import type { Metric, Run, Series } from '../api/types';
import { column, type Column, type Raw } from './axis';
import { curveOf, value, type Curve } from './series';
import type { ChartRun } from './theme';
import type { Window, XAxis } from './line';

export const RUNS_MAX = 500; /* tallyd/metrics/chart takes no more at once */
const KEPT = 200;

const kept = new Map<string, Curve[]>();

export interface CurveQuery {
	run_ids: string[];
	metric_key: string;
	x_axis: XAxis;
	window: Window;
	buckets: number;
}

/* The server counts relative time in seconds; the charts hold all times in milliseconds. */
const unitOf = (axis: XAxis): number => (axis === 'relative' ? 1000 : 1);

function body(q: CurveQuery): Record<string, unknown> {
	return {
		run_ids: q.run_ids,
		metric_key: q.metric_key,
		buckets: q.buckets,
		x_axis: q.x_axis,
		...(q.window ? { start: q.window[0] / unitOf(q.x_axis), end: q.window[1] / unitOf(q.x_axis) } : {}),
	};
}

export function keptCurves(q: CurveQuery): Curve[] | undefined {
	return kept.get(JSON.stringify(body(q)));
}

export async function curvesOf(q: CurveQuery, abort?: AbortSignal): Promise<Curve[]> {
	const key = JSON.stringify(body(q));
	const parts: string[][] = [];
	for (let i = 0; i < q.run_ids.length; i += RUNS_MAX) parts.push(q.run_ids.slice(i, i + RUNS_MAX));
	const answers = await Promise.all(
		parts.map((run_ids) => post<{ series?: Series[] }>('tallyd/metrics/chart', body({ ...q, run_ids }), abort)),
	);
	const curves = answers.flatMap((a) => (a.series ?? []).map((one) => curveOf(one, unitOf(q.x_axis)))).filter((c) => c.x.length);
	kept.delete(key);
	kept.set(key, curves);
	if (kept.size > KEPT) kept.delete(kept.keys().next().value!);
	return curves;
}

const BATCH = 100;

/** Whole runs, in the order of their ids; those that are gone are left out. */
export async function loadRuns(ids: string[], experimentIds: string[], abort?: AbortSignal): Promise<Run[]> {
	const found = new Map<string, Run>();
	if (experimentIds.length) {
		const parts: string[][] = [];
		for (let i = 0; i < ids.length; i += BATCH) parts.push(ids.slice(i, i + BATCH));
		const fetchOne = async (some: string[]): Promise<void> => {
			const answer = await post<{ runs?: Run[] }>(
				'mlflow/runs/search',
				{
					experiment_ids: experimentIds,
					filter: `attributes.run_id IN (${some.map((id) => `'${id.replace(/[^\w-]/g, '')}'`).join(', ')})`,
					run_view_type: 'ALL',
					max_results: BATCH,
				},
				abort,
			);
			for (const run of answer.runs ?? []) found.set(run.info.run_id, run);
		};
		/* Three at a time: a browser has six connections to a host, and others need some. */
		const next = async (): Promise<void> => {
			for (let some = parts.shift(); some; some = parts.shift()) await fetchOne(some);
		};
		await Promise.all([next(), next(), next()]);
	}
	/* Runs of other experiments: one by one. */
	const rest = ids.filter((id) => !found.has(id)).slice(0, 200);
	for (let i = 0; i < rest.length; i += 4)
		await Promise.all(
			rest.slice(i, i + 4).map(async (run_id) => {
				try {
					const { run } = await get<{ run: Run }>('mlflow/runs/get', { run_id }, abort);
					found.set(run_id, run);
				} catch (error) {
					if (abort?.aborted) throw error;
				}
			}),
		);
	return ids.flatMap((id) => found.get(id) ?? []);
}

export async function metricKeysOf(
	experimentIds: string[],
	q: string,
	max: number,
	abort?: AbortSignal,
): Promise<{ keys: string[]; total: number }> {
	const answer = await get<{ keys?: string[]; total?: number }>(
		'tallyd/keys',
		{ experiment_id: experimentIds, kind: 'metrics', q, max_results: max },
		abort,
	);
	return { keys: answer.keys ?? [], total: Number(answer.total ?? answer.keys?.length ?? 0) };
}

export async function historyOf(
	run_id: string,
	metric_key: string,
	page_token: string,
	abort?: AbortSignal,
): Promise<{ metrics: Metric[]; next: string }> {
	const answer = await get<{ metrics?: Metric[]; next_page_token?: string }>(
		'mlflow/metrics/get-history',
		{ run_id, metric_key, max_results: 1000, page_token },
		abort,
	);
	return { metrics: answer.metrics ?? [], next: answer.next_page_token ?? '' };
}

export function chartRun(run: { info: Run['info'] }, baseline = ''): ChartRun {
	return {
		run_id: run.info.run_id,
		name: run.info.run_name || run.info.run_id.slice(0, 8),
		baseline: run.info.run_id === baseline || undefined,
	};
}

/** Runs as a table of columns, "params.alpha" and "metrics.rmse", made when asked for. */
export class RunTable {
	readonly params: string[];
	readonly metrics: string[];
	private readonly param: Map<string, string>[];
	private readonly metric: Map<string, number>[];
	private readonly made = new Map<string, Column>();

	constructor(readonly runs: Run[]) {
		this.param = runs.map((r) => new Map((r.data.params ?? []).map((p) => [p.key, p.value])));
		this.metric = runs.map((r) => new Map((r.data.metrics ?? []).map((m) => [m.key, value(m.value)])));
		this.params = [...new Set(this.param.flatMap((m) => [...m.keys()]))].sort();
		this.metrics = [...new Set(this.metric.flatMap((m) => [...m.keys()]))].sort();
	}

	has(key: string): boolean {
		return key.startsWith('params.')
			? this.params.includes(key.slice(7))
			: key.startsWith('metrics.') && this.metrics.includes(key.slice(8));
	}

	at(key: string, i: number): Raw {
		return key.startsWith('params.') ? this.param[i]!.get(key.slice(7)) : this.metric[i]!.get(key.slice(8));
	}

	column(key: string): Column {
		let c = this.made.get(key);
		if (!c) {
			c = column(
				key,
				this.runs.map((_, i) => this.at(key, i)),
			);
			this.made.set(key, c);
		}
		return c;
	}

	/** More than one value, a missing one counted. */
	differs(key: string): boolean {
		const seen = new Set<string>();
		for (let i = 0; i < this.runs.length; i++) {
			const v = this.at(key, i);
			seen.add(v === undefined || v === null ? '\0' : String(v));
			if (seen.size > 1) return true;
		}
		return false;
	}
}
