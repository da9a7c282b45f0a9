/* The charts beside the runs table, and those of one run's page. Curves by metric in sections by key prefix, fetched and drawn
   only while visible; charts across runs on the other tabs. How it is set is in the URL. */

import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { aborted, explain } from '../api/client';
import { onChange } from '../api/live';
import type { Metric, Run, RunInfo } from '../api/types';
import { when } from '../format';
import { query, setQuery } from '../state/url';
import { column } from './axis';
import { Bar } from './bar';
import { ChartCard, Check, Choice, NoChart } from './card';
import { chartRun, curvesOf, historyOf, keptCurves, loadRuns, metricKeysOf, RUNS_MAX, RunTable } from './data';
import { Explore, type ExploreKind } from './explore';
import { saveCSV } from './export';
import { LineChart, type Window, type XAxis } from './line';
import { betterOf, lessIsBetter, value, type Curve } from './series';
import type { ChartRun } from './theme';
import { short } from './ticks';
import './charts.css';

const BUCKETS = 320;
const SECTION_MAX = 48;
const KEYS = 2000;
const LIVE_MS = 1000;

export interface ChartsPanelProps {
	experimentIds: string[];
	runs: { info: RunInfo }[];
	metricKeys: string[];
	params?: string[];
	/** Run to measure against; ?base= when not given. */
	baseline?: string;
}

const KINDS: [string, string][] = [
	['curves', 'Curves'],
	['parallel', 'Parallel'],
	['scatter', 'Scatter'],
	['box', 'Box'],
	['contour', 'Contour'],
	['bar', 'Bars'],
];

export default function ChartsPanel(props: ChartsPanelProps): JSX.Element {
	const kind = query.value.get('chart') ?? 'curves';
	const baseline = props.baseline ?? query.value.get('base') ?? '';
	const ids = props.runs
		.slice(0, RUNS_MAX)
		.map((r) => r.info.run_id)
		.join(',');
	const names = props.runs
		.slice(0, RUNS_MAX)
		.map((r) => r.info.run_name)
		.join('\0');
	const runs = useMemo(() => props.runs.slice(0, RUNS_MAX).map((r) => chartRun(r, baseline)), [ids, names, baseline]);
	const experiments = props.experimentIds.join(',');
	const [first, setFirst] = useState<{ keys: string[]; total: number }>({ keys: [], total: 0 });
	const [found, setFound] = useState<string[]>([]);
	const search = query.value.get('m') ?? '';

	useEffect(() => {
		const abort = new AbortController();
		if (experiments) metricKeysOf(experiments.split(','), '', KEYS, abort.signal).then(setFirst, () => undefined);
		return () => abort.abort();
	}, [experiments]);
	/* More keys than were fetched: the server looks through all of them for the longest plain part of the expression. */
	const beyond = first.total > first.keys.length;
	useEffect(() => {
		setFound([]);
		const plain = (search.match(/[\w/ -]+/g) ?? []).sort((a, b) => b.length - a.length)[0];
		if (!beyond || !plain || !experiments) return;
		const abort = new AbortController();
		const timer = setTimeout(
			() =>
				metricKeysOf(experiments.split(','), plain, KEYS, abort.signal).then(
					(a) => setFound(a.keys),
					() => undefined,
				),
			250,
		);
		return () => {
			clearTimeout(timer);
			abort.abort();
		};
	}, [search, beyond, experiments]);
	const keys = useMemo(() => [...new Set([...props.metricKeys, ...first.keys, ...found])], [props.metricKeys.join('\0'), first, found]);

	return (
		<div class="charts" data-charts={kind}>
			<div class="charts-bar">
				<div class="seg" role="group" aria-label="Kind of chart">
					{KINDS.map(([k, word]) => (
						<button
							key={k}
							type="button"
							class={`btn small ${k === kind ? 'on' : ''}`}
							aria-pressed={k === kind}
							onClick={() => setQuery({ chart: k === 'curves' ? null : k })}
						>
							{word}
						</button>
					))}
				</div>
			</div>
			{!runs.length ? (
				<NoChart height={160}>No runs are shown in the charts. Select runs in the table, or change the filter.</NoChart>
			) : kind === 'curves' ? (
				<>
					<Curves runs={runs} keys={keys} />
					{beyond && (
						<p class="chart-note">
							{keys.length.toLocaleString('en-US')} of {first.total.toLocaleString('en-US')} metrics are listed; the search looks through
							all of them.
						</p>
					)}
				</>
			) : (
				<Across kind={kind as ExploreKind} ids={ids} experiments={experiments} baseline={baseline} />
			)}
			{props.runs.length > RUNS_MAX && (
				<p class="chart-note">
					Drawn: the first {RUNS_MAX} of {props.runs.length} runs. Narrow the filter to see others.
				</p>
			)}
		</div>
	);
}

function Across(props: { kind: ExploreKind; ids: string; experiments: string; baseline: string }): JSX.Element {
	const [table, setTable] = useState<RunTable | null>(null);
	const [error, setError] = useState('');
	const ids = useMemo(() => props.ids.split(','), [props.ids]);
	const version = useLive(ids);
	useEffect(() => {
		const abort = new AbortController();
		loadRuns(ids, props.experiments ? props.experiments.split(',') : [], abort.signal).then(
			(runs) => {
				setTable(new RunTable(runs));
				setError('');
			},
			(e) => !aborted(e) && setError(explain(e)),
		);
		return () => abort.abort();
	}, [props.ids, props.experiments, version]);
	if (error)
		return (
			<p class="notice bad" role="alert">
				{error}
			</p>
		);
	if (!table)
		return (
			<p class="muted" role="status">
				Loading {ids.length} runs…
			</p>
		);
	return <Explore kind={props.kind} table={table} baseline={props.baseline} prefix="c." height={400} />;
}

export interface CurvesProps {
	runs: ChartRun[];
	keys: string[];
	/** One run's page: the card offers every value as a table. */
	history?: boolean;
	height?: number;
}

/** All curves, in sections by key prefix, with the controls they share. */
export function Curves(props: CurvesProps): JSX.Element {
	const q = query.value;
	const x = (['step', 'time', 'relative'].includes(q.get('x') ?? '') ? q.get('x') : 'step') as XAxis;
	const smoothing = Math.min(0.99, Math.max(0, Number(q.get('smooth')) || 0));
	const log = q.get('y') === 'log';
	const clip = useMemo((): [number, number] | null => {
		const m = /^(\d+)-(\d+)$/.exec(q.get('clip') ?? '');
		return m ? [Number(m[1]), Number(m[2])] : null;
	}, [q.get('clip')]);
	const winText = q.get('win') ?? '';
	const window = useMemo((): Window => {
		const m = /^(-?[\d.e+-]+?)\.\.(-?[\d.e+-]+)$/.exec(winText);
		return m && Number(m[2]) > Number(m[1]) ? [Number(m[1]), Number(m[2])] : null;
	}, [winText]);
	const setWindow = (w: Window) => setQuery({ win: w ? `${Number(w[0].toPrecision(12))}..${Number(w[1].toPrecision(12))}` : null });
	const search = q.get('m') ?? '';
	const [pattern, broken] = useMemo(() => {
		try {
			return [new RegExp(search, 'i'), false] as const;
		} catch {
			return [null, true] as const;
		}
	}, [search]);
	const ids = useMemo(() => props.runs.map((r) => r.run_id), [props.runs]);
	const version = useLive(ids);

	const sections = useMemo(() => {
		const out = new Map<string, string[]>();
		for (const key of props.keys) {
			if (pattern && search && !pattern.test(key)) continue;
			const slash = key.indexOf('/');
			const name = slash > 0 ? key.slice(0, slash) : '';
			const list = out.get(name);
			if (list) list.push(key);
			else out.set(name, [key]);
		}
		/* What the machine did comes after what the model did. */
		return [...out].sort((a, b) => Number(a[0] === 'system') - Number(b[0] === 'system') || (a[0] < b[0] ? -1 : 1));
	}, [props.keys, pattern, search]);

	return (
		<>
			<div class="charts-bar">
				<input
					class="field"
					type="search"
					placeholder="Find metrics (regex)"
					aria-label="Metrics by regular expression"
					aria-invalid={broken}
					value={search}
					onInput={(e) => setQuery({ m: e.currentTarget.value })}
				/>
				<Choice
					word="x"
					value={x}
					values={[
						['step', 'Step'],
						['relative', 'Time since start'],
						['time', 'Clock time'],
					]}
					set={(v) => setQuery({ x: v === 'step' ? null : v, win: null })}
				/>
				<label class="chart-range">
					Smooth
					<input
						type="range"
						min="0"
						max="0.99"
						step="0.01"
						value={String(smoothing)}
						onInput={(e) => setQuery({ smooth: Number(e.currentTarget.value) ? e.currentTarget.value : null })}
					/>
					<output>{smoothing || 'off'}</output>
				</label>
				<Check word="log y" on={log} set={(on) => setQuery({ y: on ? 'log' : null })} />
				<Check
					word="y without outliers"
					title="The y axis spans the 1st to the 99th percentile"
					on={Boolean(clip)}
					set={(on) => setQuery({ clip: on ? '1-99' : null })}
				/>
				{window && (
					<button type="button" class="btn small" onClick={() => setWindow(null)}>
						Whole range
					</button>
				)}
			</div>
			{broken && <p class="notice bad">This is not a regular expression yet; all metrics are shown.</p>}
			{!sections.length &&
				(props.keys.length ? (
					<NoChart height={140}>
						No metric matches “{search}”. {props.keys.length} metrics are there without the search.
					</NoChart>
				) : (
					<NoChart height={140}>
						No metrics yet. Log one with <code>mlflow.log_metric("loss", value, step=step)</code> and its curve appears here.
					</NoChart>
				))}
			{sections.map(([name, keys]) => (
				<Section key={name} name={name} keys={keys} single={sections.length === 1 && !name}>
					{(key) => (
						<Visible key={key} name={key} height={props.height ?? 330}>
							<MetricChart
								metric={key}
								runs={props.runs}
								ids={ids}
								x={x}
								smooth={smoothing}
								logY={log}
								clip={clip}
								window={window}
								setWindow={setWindow}
								version={version}
								history={props.history}
							/>
						</Visible>
					)}
				</Section>
			))}
		</>
	);
}

function Section(props: { name: string; keys: string[]; single: boolean; children: (key: string) => JSX.Element }): JSX.Element {
	const [all, setAll] = useState(false);
	const shown = all ? props.keys : props.keys.slice(0, SECTION_MAX);
	const inside = (
		<>
			<div class="chart-grid">{shown.map((k) => props.children(k))}</div>
			{shown.length < props.keys.length && (
				<p>
					<button type="button" class="btn small" onClick={() => setAll(true)}>
						All {props.keys.length} metrics
					</button>
				</p>
			)}
		</>
	);
	if (props.single) return <div class="charts-section">{inside}</div>;
	return (
		<details class="charts-section" open>
			<summary>
				{props.name || 'Metrics'} <span class="muted">{props.keys.length}</span>
			</summary>
			{inside}
		</details>
	);
}

/** Keeps the place, and holds the chart only while it is on the screen or near it. */
function Visible(props: { name: string; height: number; children: ComponentChildren }): JSX.Element {
	const box = useRef<HTMLDivElement>(null);
	const [seen, setSeen] = useState(false);
	const height = useRef(props.height);
	useEffect(() => {
		const node = box.current;
		if (!node) return;
		const watch = new IntersectionObserver(
			([entry]) => {
				if (!entry) return;
				if (!entry.isIntersecting && node.firstElementChild && !node.querySelector('.chart-hold'))
					height.current = Math.max(80, node.offsetHeight);
				setSeen(entry.isIntersecting);
			},
			{ rootMargin: '300px' },
		);
		watch.observe(node);
		return () => watch.disconnect();
	}, []);
	return (
		<div ref={box}>
			{seen ? (
				props.children
			) : (
				<div class="chart-hold" style={{ height: `${height.current}px` }}>
					{props.name}
				</div>
			)}
		</div>
	);
}

interface MetricChartProps {
	metric: string;
	runs: ChartRun[];
	ids: string[];
	x: XAxis;
	smooth: number;
	logY: boolean;
	clip: [number, number] | null;
	window: Window;
	setWindow: (w: Window) => void;
	version: number;
	history?: boolean;
}

function MetricChart(props: MetricChartProps): JSX.Element {
	const asked = { run_ids: props.ids, metric_key: props.metric, x_axis: props.x, window: props.window, buckets: BUCKETS };
	const key = `${props.ids.join()} ${props.metric} ${props.x} ${props.window?.join()}`;
	const [curves, setCurves] = useState<Curve[] | null>(() => keptCurves(asked) ?? null);
	const [error, setError] = useState('');
	const [busy, setBusy] = useState(false);
	const [table, setTable] = useState(false);
	useEffect(() => {
		const abort = new AbortController();
		setBusy(true);
		curvesOf(asked, abort.signal).then(
			(c) => {
				setCurves(c);
				setError('');
				setBusy(false);
			},
			(e) => {
				if (aborted(e)) return;
				setError(explain(e));
				setBusy(false);
			},
		);
		return () => abort.abort();
	}, [key, props.version]);

	const lowest = lessIsBetter(props.metric);
	const single = curves !== null && !props.window && curves.length > 0 && curves.every((c) => c.x.length <= 1);
	const last = useMemo(() => {
		const by = new Map((curves ?? []).map((c) => [c.run_id, c.last[c.last.length - 1]]));
		return column(
			props.metric,
			props.runs.map((r) => by.get(r.run_id)),
		);
	}, [curves, props.runs, props.metric]);

	if (error)
		return (
			<ChartCard title={props.metric}>
				<p class="notice bad" role="alert">
					{error}
				</p>
			</ChartCard>
		);
	if (!curves)
		return (
			<ChartCard title={props.metric} busy>
				<NoChart height={200}>Loading…</NoChart>
			</ChartCard>
		);
	if (!curves.length)
		return (
			<ChartCard
				title={props.metric}
				controls={
					props.window && (
						<button type="button" class="btn small quiet" onClick={() => props.setWindow(null)}>
							Whole range
						</button>
					)
				}
			>
				<NoChart height={props.window ? 200 : 60}>{props.window ? 'No points in this range.' : 'None of these runs logged it.'}</NoChart>
			</ChartCard>
		);
	const controls = props.history && (
		<button type="button" class="btn small quiet" aria-expanded={table} onClick={() => setTable(!table)}>
			{table ? 'Hide values' : 'Values'}
		</button>
	);
	if (single && props.runs.length > 1)
		return <Bar title={props.metric} runs={props.runs} y={last} lowest={lowest} max={10} controls={controls} note=" · one value a run" />;
	const chart = (
		<LineChart
			title={props.metric}
			runs={props.runs}
			curves={curves}
			x={props.x}
			smooth={props.smooth}
			logY={props.logY}
			clip={props.clip}
			window={props.window}
			onWindow={props.setWindow}
			better={betterOf(props.metric)}
			busy={busy}
			height={single ? 90 : 190}
			controls={controls}
		/>
	);
	return table ? (
		<div>
			{chart}
			<History run_id={props.ids[0]!} metric={props.metric} version={props.version} />
		</div>
	) : (
		chart
	);
}

/* Every value that was logged, a page at a time. */
function History(props: { run_id: string; metric: string; version: number }): JSX.Element {
	const [rows, setRows] = useState<Metric[]>([]);
	const [next, setNext] = useState<string | null>(null);
	const [error, setError] = useState('');
	const load = async (token: string, abort?: AbortSignal) => {
		try {
			const page = await historyOf(props.run_id, props.metric, token, abort);
			setRows((old) => (token ? [...old, ...page.metrics] : page.metrics));
			setNext(page.next);
		} catch (e) {
			if (!aborted(e)) setError(explain(e));
		}
	};
	useEffect(() => {
		const abort = new AbortController();
		void load('', abort.signal);
		return () => abort.abort();
	}, [props.run_id, props.metric, props.version]);
	return (
		<div class="chart-card chart-history" tabIndex={0} role="region" aria-label={`Values of ${props.metric}`}>
			<div class="charts-bar">
				<span class="muted small">
					{next === null ? 'Loading…' : `${next ? 'First ' : ''}${rows.length} ${rows.length === 1 ? 'value' : 'values'}`}
				</span>
				{next && (
					<button type="button" class="btn small" onClick={() => void load(next)}>
						Load more
					</button>
				)}
				<button
					type="button"
					class="btn small quiet"
					onClick={() => saveCSV(props.metric, [['step', 'timestamp_ms', 'value'], ...rows.map((m) => [m.step, m.timestamp, m.value])])}
				>
					CSV
				</button>
			</div>
			{error && (
				<p class="notice bad" role="alert">
					{error}
				</p>
			)}
			<table class="plain">
				<thead>
					<tr>
						<th class="num">Step</th>
						<th>Time</th>
						<th class="num">Value</th>
					</tr>
				</thead>
				<tbody>
					{rows.slice(0, 5000).map((m, i) => (
						<tr key={i}>
							<td class="num">{Number(m.step).toLocaleString('en-US')}</td>
							<td>{when(Number(m.timestamp))}</td>
							<td class="num" title={String(m.value)}>
								{short(value(m.value))}
							</td>
						</tr>
					))}
				</tbody>
			</table>
		</div>
	);
}

/** Goes up when one of these runs changed, at most once a second. */
export function useLive(ids: string[]): number {
	const [version, setVersion] = useState(0);
	useEffect(() => {
		const mine = new Set(ids);
		let timer = 0,
			last = 0;
		const stop = onChange((change) => {
			if (!change.resync && !change.runs?.some((id) => mine.has(id))) return;
			if (timer) return;
			timer = window.setTimeout(
				() => {
					timer = 0;
					last = Date.now();
					setVersion((v) => v + 1);
				},
				Math.max(0, last + LIVE_MS - Date.now()),
			);
		});
		return () => {
			stop();
			clearTimeout(timer);
		};
	}, [ids]);
	return version;
}

/** The metrics of one run's page: curves with every value to read. With a prefix only those keys, else all but the machine's own. */
export function RunMetrics(props: { run: Run; prefix?: string }): JSX.Element {
	const { prefix } = props;
	const id = props.run.info.run_id,
		name = props.run.info.run_name;
	const runs = useMemo(() => [chartRun(props.run)], [id, name]);
	const text = (props.run.data.metrics ?? [])
		.map((m) => m.key)
		.filter((k) => (prefix ? k.startsWith(prefix) : !k.startsWith('system/')))
		.join('\0');
	const keys = useMemo(() => (text ? text.split('\0').sort() : []), [text]);
	return (
		<div class="charts">
			<Curves runs={runs} keys={keys} history />
		</div>
	);
}
