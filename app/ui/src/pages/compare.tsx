/* Any number of runs beside one another: params, metrics, artifacts, and charts across them. Which runs, which tab, the baseline
   and every picker are in the URL. */

import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { aborted, explain } from '../api/client';
import { experimentGet } from '../api/experiments';
import type { Run } from '../api/types';
import { loadRuns, RunTable } from '../charts/data';
import type { ExploreProps } from '../charts/explore';
import { useLive } from '../charts/panel';
import { inSight } from '../components/bits';
import { lazy } from '../components/lazy';
import { useLoad } from '../components/load';
import { plural } from '../format';
import { selectionOf } from '../state/selection';
import { href, path, query, setQuery } from '../state/url';
import { Values } from './compare/values';
import './compare/compare.css';

const Explore = lazy<ExploreProps>(() => import('../charts/explore').then((m) => ({ default: m.Explore })));
const Curves = lazy(() => import('./compare/curves'));
const Artifacts = lazy(() => import('./compare/artifacts'));

const TABS: [string, string][] = [
	['params', 'Parameters'],
	['metrics', 'Metrics'],
	['curves', 'Curves'],
	['artifacts', 'Artifacts'],
	['parallel', 'Parallel'],
	['scatter', 'Scatter'],
	['box', 'Box'],
	['contour', 'Contour'],
	['bar', 'Bars'],
];

export default function Compare(): JSX.Element {
	const experiment = /^\/experiments\/([^/]+)\//.exec(path.value)?.[1] ?? '';
	const text = query.value.get('runs') ?? '';
	const [ids, setIds] = useState<string[] | null>(null);
	const [runs, setRuns] = useState<Run[] | null>(null);
	const [error, setError] = useState('');

	useEffect(() => {
		let here = true;
		setError('');
		selectionOf(experiment, text).then(
			(found) => here && setIds([...new Set(found)]),
			(e) => here && setError(explain(e)),
		);
		return () => {
			here = false;
		};
	}, [experiment, text]);

	const live = useMemo(() => ids ?? [], [ids]);
	const version = useLive(live);
	useEffect(() => {
		if (!ids) return;
		const abort = new AbortController();
		loadRuns(ids, experiment ? [experiment] : [], abort.signal).then(
			(found) => {
				setRuns(found);
				setError('');
			},
			(e) => !aborted(e) && setError(explain(e)),
		);
		return () => abort.abort();
	}, [ids, experiment, version]);

	const names = useLoad(
		(abort) => Promise.all(experiment.split(',').filter(Boolean).map((id) => experimentGet(id, abort))).then((all) => (all.length === 1 ? all[0]!.name : `${all.length} experiments`)),
		[experiment],
	);
	const table = useMemo(() => runs && new RunTable(runs), [runs]);
	document.title = `Compare ${runs ? plural(runs.length, 'run') : 'runs'} · tallyd`;
	const asked = query.value.get('tab') ?? 'params';
	const tab = TABS.some(([t]) => t === asked) ? asked : 'params';
	const base = query.value.get('base') ?? '';
	const baseline = runs?.some((r) => r.info.run_id === base) ? base : '';

	/* The tab's own address, with what else is set. */
	const linkTo = (t: string): string => {
		const q = new URLSearchParams(query.value);
		if (t === 'params') q.delete('tab');
		else q.set('tab', t);
		/* x, y and z mean something else on another chart, and the x of curves is none of these. */
		if ((t === 'curves') !== (tab === 'curves')) for (const name of ['x', 'y', 'z']) q.delete(name);
		return href(`${path.value}?${q.toString().replace(/%2C/g, ',').replace(/%2F/g, '/')}`);
	};
	const tabs = useRef<HTMLElement>(null);
	useEffect(() => inSight(tabs.current), [tab]);
	const counts: Record<string, number | undefined> = { params: table?.params.length, metrics: table?.metrics.length };

	return (
		<div class="compare">
			<header class="head">
				<div class="grow">
					{experiment && (
						<nav class="crumbs" aria-label="Where this is">
							<a href={href('/experiments')}>Experiments</a>
							<span>/</span>
							<a href={href(`/experiments/${experiment}/runs`)}>{names.data ?? 'The runs'}</a>
						</nav>
					)}
					<h1>{runs ? `Compare ${plural(runs.length, 'run')}` : 'Compare runs'}</h1>
				</div>
				{table && table.runs.length > 0 && (
					<label class="line small cmp-base">
						<span class="muted">Measure against</span>
						<select class="field" value={baseline} onChange={(e) => setQuery({ base: e.currentTarget.value || null })}>
							<option value="">no baseline</option>
							{table.runs.map((r) => (
								<option key={r.info.run_id} value={r.info.run_id} selected={r.info.run_id === baseline}>
									{r.info.run_name || r.info.run_id.slice(0, 8)}
								</option>
							))}
						</select>
					</label>
				)}
			</header>
			<nav class="tabs" ref={tabs} aria-label="What to compare">
				{TABS.map(([t, word]) => (
					<a key={t} href={linkTo(t)} aria-current={t === tab ? 'page' : undefined}>
						{word} {counts[t] !== undefined && <span class="muted">{counts[t]}</span>}
					</a>
				))}
			</nav>
			{error && (
				<p class="notice bad" role="alert">
					{error}
				</p>
			)}
			{!table && !error && (
				<p class="muted" role="status">
					Loading runs…
				</p>
			)}
			{table && !table.runs.length && (
				<section class="empty">
					<h2>No runs to compare</h2>
					<p>
						{text
							? 'None of the runs in this address exist any more, or they are in a store you cannot read.'
							: 'Select two or more runs in the table of an experiment and press Compare. The address keeps the selection, so it can be sent to others.'}
					</p>
					<p>
						<a class="btn" href={href(experiment ? `/experiments/${experiment}/runs` : '/experiments')}>
							Choose runs
						</a>
					</p>
				</section>
			)}
			{table && table.runs.length > 0 && (
				<>
					{ids && table.runs.length < ids.length && (
						<p class="notice">
							{ids.length - table.runs.length} of {ids.length} runs in this address were not found and are left out.
						</p>
					)}
					{tab === 'params' || tab === 'metrics' ? (
						<Values key={tab} kind={tab} table={table} baseline={baseline} />
					) : tab === 'curves' ? (
						<Curves table={table} baseline={baseline} />
					) : tab === 'artifacts' ? (
						<Artifacts table={table} />
					) : (
						<div class="compare-chart">
							<Explore kind={tab as ExploreProps['kind']} table={table} baseline={baseline} height={480} />
						</div>
					)}
				</>
			)}
		</div>
	);
}
