/* Params or metrics of the runs side by side: what differs is marked, and metrics are measured against the baseline. */

import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import type { RunTable } from '../../charts/data';
import { saveCSV } from '../../charts/export';
import { betterOf } from '../../charts/series';
import { short } from '../../charts/ticks';
import { when, duration, signedPercent } from '../../format';
import { runColourVar } from '../../state/colour';
import { href, pack, query, setQuery, unpack } from '../../state/url';
import { num, type Run } from '../../api/types';
import { Grid } from './grid';

export interface ValuesProps {
	kind: 'params' | 'metrics';
	table: RunTable;
	baseline: string;
}

/* What a run says of itself, above its params. */
const FACTS: [string, (r: Run) => string][] = [
	['State', (r) => r.info.status[0] + r.info.status.slice(1).toLowerCase()],
	['Started', (r) => when(num(r.info.start_time)).replace(/,| [A-Z].*/g, '')],
	['Duration', (r) => duration(num(r.info.end_time) - num(r.info.start_time))],
	['User', (r) => r.info.user_id || r.data.tags?.find((t) => t.key === 'mlflow.user')?.value || ''],
	['Source', (r) => r.data.tags?.find((t) => t.key === 'mlflow.source.name')?.value ?? ''],
	['Version', (r) => (r.data.tags?.find((t) => t.key === 'mlflow.source.git.commit')?.value ?? '').slice(0, 10)],
];

interface Row {
	name: string;
	fact: boolean;
	differs: boolean;
	better: 'less' | 'more' | null;
	text: (i: number) => string | undefined;
	number: (i: number) => number;
	best: number;
}

export function Values(props: ValuesProps): JSX.Element {
	const { table, kind } = props;
	const q = query.value;
	const diff = q.get('diff') === '1',
		turned = q.get('turn') === '1',
		search = (q.get('find') ?? '').toLowerCase();
	const facts = kind === 'params';
	const b = table.runs.findIndex((r) => r.info.run_id === props.baseline);

	const rows = useMemo(() => {
		const out: Row[] = [];
		if (facts)
			for (const [name, of] of FACTS) {
				const texts = table.runs.map(of);
				out.push({
					name,
					fact: true,
					better: null,
					best: NaN,
					differs: new Set(texts).size > 1,
					text: (i) => texts[i] || undefined,
					number: () => NaN,
				});
			}
		for (const key of kind === 'params' ? table.params : table.metrics) {
			const full = `${kind}.${key}`;
			const better = kind === 'metrics' ? betterOf(key) : null;
			const numbers = kind === 'metrics' ? table.runs.map((_, i) => Number(table.at(full, i) ?? NaN)).filter((v) => isFinite(v)) : [];
			out.push({
				name: key,
				fact: false,
				better,
				differs: table.differs(full),
				best: better && numbers.length > 1 ? numbers.reduce((a, c) => (better === 'less' ? Math.min(a, c) : Math.max(a, c))) : NaN,
				text: (i) => {
					const v = table.at(full, i);
					return v === undefined || v === null ? undefined : String(v);
				},
				number: (i) => (kind === 'metrics' ? Number(table.at(full, i) ?? NaN) : NaN),
			});
		}
		return out;
	}, [table, kind]);
	const shown = useMemo(
		() => rows.filter((r) => (!diff || r.differs) && (!search || r.name.toLowerCase().includes(search))),
		[rows, diff, search],
	);
	const differing = rows.filter((r) => r.differs && !r.fact).length,
		total = rows.filter((r) => !r.fact).length;

	const csv = () =>
		saveCSV(`compare-${kind}`, [
			[kind, ...table.runs.map((r) => r.info.run_name || r.info.run_id)],
			['run_id', ...table.runs.map((r) => r.info.run_id)],
			...shown.map((row) => [row.name, ...table.runs.map((_, i) => row.text(i))]),
		]);
	const remove = (id: string) =>
		setQuery({ runs: pack(unpack(q.get('runs') ?? '').filter((r) => r !== id)), base: id === props.baseline ? null : q.get('base') });

	const runHead = (i: number): JSX.Element => {
		const run = table.runs[i]!;
		const name = run.info.run_name || run.info.run_id.slice(0, 8);
		return (
			<div class="cmp-run">
				<span class="cmp-mark" style={{ background: i === b ? 'var(--ink)' : runColourVar(run.info.run_id) }} />
				<a href={href(`/runs/${run.info.run_id}`)} title={`${name} (${run.info.run_id})`} class="clip">
					{name}
				</a>
				<span class="cmp-acts">
					{i === b ? (
						<span class="tag">Baseline</span>
					) : (
						<button
							type="button"
							class="btn small quiet"
							title="Measure the others against this run"
							onClick={() => setQuery({ base: run.info.run_id })}
						>
							Baseline
						</button>
					)}
					{!(q.get('runs') ?? '').startsWith('sel.') && (
						<button
							type="button"
							class="btn small quiet"
							aria-label={`Take ${name} out`}
							title="Take this run out of the comparison"
							onClick={() => remove(run.info.run_id)}
						>
							×
						</button>
					)}
				</span>
			</div>
		);
	};
	const keyHead = (r: number): JSX.Element => {
		const row = shown[r]!;
		return (
			<div class={`cmp-key ${row.fact ? 'muted' : ''}`} title={row.name}>
				<span class="clip">{row.name}</span>
				{row.differs && !row.fact && <span class="sr">differs</span>}
				{row.better && (
					<span class="muted cmp-way" title={`Taken from the name: ${row.better} is better`}>
						{row.better === 'less' ? '↓ better' : '↑ better'}
					</span>
				)}
			</div>
		);
	};
	const value = (r: number, i: number): JSX.Element => {
		const row = shown[r]!,
			text = row.text(i);
		if (text === undefined) return <span class="muted">none</span>;
		if (kind === 'params')
			return (
				<span class="clip" title={text}>
					{text}
				</span>
			);
		const v = row.number(i),
			base = b >= 0 ? row.number(b) : NaN;
		const ratio = b >= 0 && i !== b && base !== 0 ? (v - base) / Math.abs(base) : NaN;
		const better = row.better && isFinite(ratio) && ratio !== 0 ? (row.better === 'less' ? ratio < 0 : ratio > 0) : null;
		return (
			<span class="cmp-number">
				<span
					class={v === row.best && row.differs ? 'cmp-best' : ''}
					title={`${text}${v === row.best && row.differs ? ', best of these' : ''}`}
				>
					{short(v)}
				</span>
				{b >= 0 && (
					<span class={`delta ${better === null ? '' : better ? 'better' : 'worse'}`}>
						{i === b ? '' : isFinite(ratio) ? signedPercent(ratio) : ''}
					</span>
				)}
			</span>
		);
	};
	/* A param that is not what most runs have (or not the baseline's) is what one looks for. */
	const common = useMemo(
		() =>
			shown.map((row) => {
				if (!row.differs) return undefined;
				if (b >= 0) return row.text(b);
				const n = new Map<string | undefined, number>();
				table.runs.forEach((_, i) => n.set(row.text(i), (n.get(row.text(i)) ?? 0) + 1));
				return [...n].sort((x, y) => y[1] - x[1])[0]?.[0];
			}),
		[shown, b, table],
	);
	const odd = (r: number, i: number) =>
		kind === 'params' &&
		shown[r]!.differs &&
		!['Started', 'Duration'].includes(shown[r]!.fact ? shown[r]!.name : '') &&
		shown[r]!.text(i) !== common[r];
	const cellClass = (r: number, i: number) => `${odd(r, i) ? 'odd' : ''} ${kind === 'metrics' ? 'num' : 'value'}`;
	const width = typeof innerWidth === 'number' && innerWidth < 720 ? 130 : 190;
	const n = table.runs.length;
	const corner = <span class="muted">{diff ? `${differing} of ${total} differ` : `${total} ${kind}, ${differing} differ`}</span>;

	return (
		<>
			<div class="charts-bar">
				<input
					class="field"
					type="search"
					placeholder={`Find ${kind}`}
					aria-label={`Find ${kind}`}
					value={q.get('find') ?? ''}
					onInput={(e) => setQuery({ find: e.currentTarget.value })}
				/>
				<button
					type="button"
					class={`btn small ${diff ? 'on' : ''}`}
					aria-pressed={diff}
					onClick={() => setQuery({ diff: diff ? null : '1' })}
				>
					Only differences
				</button>
				<button
					type="button"
					class={`btn small ${turned ? 'on' : ''}`}
					aria-pressed={turned}
					onClick={() => setQuery({ turn: turned ? null : '1' })}
				>
					Runs as rows
				</button>
				<button type="button" class="btn small quiet" onClick={csv}>
					CSV
				</button>
			</div>
			{!shown.length ? (
				<p class="notice">
					{search
						? `No ${kind} with “${q.get('find')}” in the name.`
						: diff
							? `All ${total} ${kind} are the same in these runs.`
							: `These runs have no ${kind}. Log one with mlflow.log_${kind === 'params' ? 'param' : 'metric'}.`}
				</p>
			) : turned ? (
				<Grid
					label={`${kind}, runs as rows`}
					rows={n}
					cols={shown.length}
					rowHeight={34}
					colWidth={kind === 'metrics' ? 160 : 150}
					firstWidth={width + 60}
					headHeight={36}
					corner={corner}
					head={keyHead}
					first={runHead}
					cell={(i, r) => value(r, i)}
					rowClass={(i) => (i === b ? 'base' : '')}
					colClass={(r) => (shown[r]!.differs && !shown[r]!.fact ? 'differs' : '')}
					cellClass={(i, r) => cellClass(r, i)}
				/>
			) : (
				<Grid
					label={`${kind}, runs as columns`}
					rows={shown.length}
					cols={n}
					rowHeight={30}
					colWidth={kind === 'metrics' && b >= 0 ? 176 : 160}
					firstWidth={width}
					headHeight={58}
					corner={corner}
					head={runHead}
					first={keyHead}
					cell={value}
					rowClass={(r) => (shown[r]!.differs && !shown[r]!.fact ? 'differs' : '')}
					colClass={(i) => (i === b ? 'base' : '')}
					cellClass={cellClass}
				/>
			)}
		</>
	);
}
