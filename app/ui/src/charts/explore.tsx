/* Charts across runs with their pickers: parallel, scatter, box, contour, bar. What is picked is in the URL. */

import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { pack, query, setQuery, unpack } from '../state/url';
import { suitsLog, type Column } from './axis';
import { Bar } from './bar';
import { Box } from './box';
import { Check, KeyPicker, Menu, NoChart } from './card';
import { Contour } from './contour';
import { chartRun, type RunTable } from './data';
import { Parallel, type Brushes } from './parallel';
import { Scatter } from './scatter';
import { lessIsBetter } from './series';

export type ExploreKind = 'parallel' | 'scatter' | 'box' | 'contour' | 'bar';

export interface ExploreProps {
	kind: ExploreKind;
	table: RunTable;
	baseline?: string;
	/** Put before the names in the query, where the page has an x and y of its own. */
	prefix?: string;
	height?: number;
}

const AXES = 7;
const bare = (key: string) => key.replace(/^(params|metrics)\./, '');

export function Explore(props: ExploreProps): JSX.Element {
	const { table, kind } = props;
	const p = props.prefix ?? '';
	const q = query.value;
	const runs = useMemo(() => table.runs.map((r) => chartRun(r, props.baseline)), [table, props.baseline]);
	const groups: [string, string[]][] = useMemo(
		() => [
			['Params', table.params.map((k) => `params.${k}`)],
			['Metrics', table.metrics.map((k) => `metrics.${k}`)],
		],
		[table],
	);

	/* Params that differ and are numbers come first: they are what a chart can show. */
	const guess = useMemo(() => {
		/* What most runs have comes before what few have, or a chart starts with most of them left out. */
		const lacking = (k: string) => table.runs.reduce((n, _, i) => n + Number(table.at(k, i) === undefined), 0);
		const fullest = (keys: string[]) => {
			const n = new Map(keys.map((k) => [k, lacking(k)]));
			return keys.sort((a, b) => n.get(a)! - n.get(b)!);
		};
		const params = fullest(table.params.map((k) => `params.${k}`));
		const varied = params.filter((k) => table.differs(k));
		const numeric = varied.filter((k) => table.column(k).kind === 'number');
		/* Metrics that differ between the runs, those of the machine last. */
		const rank = (k: string) => (k.startsWith('metrics.system/') ? 2 : 0) + (table.column(k).distinct > 1 ? 0 : 1);
		const metrics = fullest(table.metrics.map((k) => `metrics.${k}`)).sort((a, b) => rank(a) - rank(b));
		return { params, varied, numeric, metrics };
	}, [table]);
	const pick = (name: string, fallback: string | undefined): string => {
		const asked = q.get(p + name);
		return asked !== null && (asked === '' || table.has(asked)) ? asked : (fallback ?? '');
	};
	const put = (name: string) => (v: string) => setQuery({ [p + name]: v });
	const flag = (name: string) => q.get(p + name) === '1';
	const setFlag = (name: string) => (on: boolean) => setQuery({ [p + name]: on ? '1' : null });
	/* A log axis where the values span decades, unless the URL says otherwise. */
	const log = (name: string, c: Column) => c.positive && c.kind === 'number' && (q.get(p + name) === null ? suitsLog(c) : flag(name));
	const setLog = (name: string) => (on: boolean) => setQuery({ [p + name]: on ? '1' : '0' });
	const named = (key: string): Column => ({ ...table.column(key), name: bare(key) });
	const useColumn = (key: string) => useMemo(() => (key ? named(key) : null), [key, table]);

	const defaults: Record<ExploreKind, { x?: string; y?: string; z?: string }> = {
		parallel: {},
		scatter: { x: guess.numeric[0] ?? guess.metrics[0] ?? guess.params[0], y: guess.metrics[0] ?? guess.params[1] },
		box: { x: guess.varied[0] ?? '', y: guess.metrics[0] },
		contour: {
			x: guess.numeric[0] ?? guess.params[0] ?? guess.metrics[1],
			y: guess.numeric[1] ?? guess.params.find((k) => k !== guess.numeric[0]) ?? guess.metrics[2],
			z: guess.metrics[0],
		},
		bar: { y: guess.metrics[0] },
	};
	const xKey = pick('x', defaults[kind].x),
		yKey = pick('y', defaults[kind].y),
		zKey = pick('z', defaults[kind].z),
		cKey = pick('colour', '');
	const x = useColumn(xKey),
		y = useColumn(yKey),
		z = useColumn(zKey),
		c = useColumn(cKey);
	const height = innerWidth < 720 ? 320 : (props.height ?? 420);

	const asked = q.get(p + 'axes');
	const axisKeys = useMemo(() => {
		const chosen = asked ? unpack(asked).filter((k) => table.has(k)) : [];
		return chosen.length ? chosen : [...guess.varied.slice(0, AXES), ...guess.metrics.slice(0, 3)];
	}, [asked, table, guess]);
	const axes = useMemo(() => axisKeys.map((k) => table.column(k)), [axisKeys, table]);
	const brushText = q.get(p + 'brush') ?? '';
	const brushes = useMemo(() => readBrushes(brushText), [brushText]);

	if (!table.params.length && !table.metrics.length)
		return (
			<NoChart height={height}>These runs have neither params nor metrics. Log some with mlflow.log_param and mlflow.log_metric.</NoChart>
		);

	if (kind === 'parallel') {
		const colourKey = pick('colour', guess.metrics[0]);
		return (
			<Parallel
				runs={runs}
				axes={axes}
				colour={colourKey ? table.column(colourKey) : null}
				brushes={brushes}
				onBrush={(b) => setQuery({ [p + 'brush']: writeBrushes(b) })}
				height={height}
				controls={
					<>
						<Axes groups={groups} chosen={axisKeys} set={(keys) => setQuery({ [p + 'axes']: pack(keys) })} />
						<KeyPicker word="Colour" value={colourKey} groups={groups} none="Run" set={put('colour')} />
					</>
				}
			/>
		);
	}
	if (kind === 'scatter' && x && y)
		return (
			<Scatter
				runs={runs}
				x={x}
				y={y}
				colour={c}
				logX={log('logx', x)}
				logY={log('logy', y)}
				height={height}
				controls={
					<>
						<KeyPicker word="x" value={xKey} groups={groups} set={put('x')} />
						<KeyPicker word="y" value={yKey} groups={groups} set={put('y')} />
						<KeyPicker word="Colour" value={cKey} groups={groups} none="Run" set={put('colour')} />
						<Logs x={x} y={y} log={log} set={setLog} />
					</>
				}
			/>
		);
	if (kind === 'box' && y)
		return (
			<Box
				runs={runs}
				group={x}
				y={y}
				logY={log('logy', y)}
				height={height}
				controls={
					<>
						<KeyPicker
							word="Group by"
							value={xKey}
							groups={groups.slice(0, 1)}
							none="Nothing"
							set={(v) => setQuery({ [p + 'x']: v || null })}
						/>
						<KeyPicker word="y" value={yKey} groups={groups.slice(1)} set={put('y')} />
						<Logs y={y} log={log} set={setLog} />
					</>
				}
			/>
		);
	if (kind === 'contour' && x && y && z)
		return (
			<Contour
				runs={runs}
				x={x}
				y={y}
				z={z}
				logX={log('logx', x)}
				logY={log('logy', y)}
				reverse={flag('rev')}
				lowest={lessIsBetter(z.name)}
				height={height}
				controls={
					<>
						<KeyPicker word="x" value={xKey} groups={groups} set={put('x')} />
						<KeyPicker word="y" value={yKey} groups={groups} set={put('y')} />
						<KeyPicker word="z" value={zKey} groups={[groups[1]!, groups[0]!]} set={put('z')} />
						<Check word="Reverse colours" title="Light for low values" on={flag('rev')} set={setFlag('rev')} />
						<Logs x={x} y={y} log={log} set={setLog} />
					</>
				}
			/>
		);
	if (kind === 'bar' && y)
		return (
			<Bar
				runs={runs}
				y={y}
				lowest={lessIsBetter(y.name)}
				max={30}
				controls={<KeyPicker word="Metric" value={yKey} groups={[groups[1]!, groups[0]!]} set={put('y')} />}
			/>
		);
	return (
		<NoChart height={height}>
			This chart needs {kind === 'contour' ? 'two params and a metric' : 'a metric'}, and these runs have {table.params.length} params and{' '}
			{table.metrics.length} metrics.
		</NoChart>
	);
}

function Logs(props: {
	x?: Column;
	y: Column;
	log: (n: string, c: Column) => boolean;
	set: (n: string) => (on: boolean) => void;
}): JSX.Element {
	const one = (name: string, word: string, c: Column) => (
		<Check
			word={word}
			on={props.log(name, c)}
			disabled={c.kind !== 'number' || !c.positive}
			title={c.kind !== 'number' ? 'Not a number' : c.positive ? undefined : 'Has values of 0 or less'}
			set={props.set(name)}
		/>
	);
	return (
		<>
			{props.x && one('logx', 'log x', props.x)}
			{one('logy', 'log y', props.y)}
		</>
	);
}

function Axes(props: { groups: [string, string[]][]; chosen: string[]; set: (keys: string[]) => void }): JSX.Element {
	const on = new Set(props.chosen);
	return (
		<Menu word={`Axes ${props.chosen.length}`} label={`Axes ${props.chosen.length}: choose`} stay>
			<div class="axis-list">
				{props.groups.map(([name, keys]) => (
					<div key={name}>
						<h4>{name}</h4>
						{keys.slice(0, 300).map((k) => (
							<label key={k}>
								<input
									type="checkbox"
									checked={on.has(k)}
									onChange={() => props.set(on.has(k) ? props.chosen.filter((c) => c !== k) : [...props.chosen, k])}
								/>
								{bare(k)}
							</label>
						))}
						{keys.length > 300 && <p class="muted small">First 300 of {keys.length}</p>}
					</div>
				))}
			</div>
		</Menu>
	);
}

/** "params.alpha:0.1..1,metrics.rmse:..60" */
export function readBrushes(text: string): Brushes {
	const out: Brushes = {};
	for (const one of unpack(text)) {
		const m = /^(.*):([^:]*)\.\.([^:]*)$/.exec(one);
		if (!m) continue;
		const lo = m[2] === '' ? -Infinity : Number(m[2]),
			hi = m[3] === '' ? Infinity : Number(m[3]);
		if (!Number.isNaN(lo) && !Number.isNaN(hi)) out[m[1]!] = [lo, hi];
	}
	return out;
}

export function writeBrushes(b: Brushes): string {
	const end = (v: number) => (isFinite(v) ? String(v) : '');
	return pack(Object.entries(b).map(([k, [lo, hi]]) => `${k}:${end(lo)}..${end(hi)}`));
}
