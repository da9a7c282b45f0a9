/*
 * All experiments as a tree by the slashes in their names. The list comes whole (ten thousand take one answer), so search
 * and order need no server; only the rows in sight are drawn.
 */
import './experiments.css';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { experimentCounts, experimentCreate, experimentDelete, experimentList, experimentRename, experimentRestore } from '../api/experiments';
import { root } from '../api/client';
import { onChange } from '../api/live';
import { num, type Experiment, type RunCount } from '../api/types';
import { Ago, Empty, Failure, Loading, ownTags } from '../components/bits';
import { Code, copy } from '../components/copy';
import { ask } from '../components/dialog';
import { Icon } from '../components/icon';
import { lazy } from '../components/lazy';
import { throttle, useLoad } from '../components/load';
import { Menu } from '../components/menu';
import { complain, say } from '../components/toast';
import { count, plural } from '../format';
import { go, href, param } from '../state/url';

const About = lazy(() => import('../components/about'));

interface Line {
	key: string;
	depth: number;
	label: string;
	experiment?: Experiment;
	/* folders */
	open?: boolean;
	runs: number;
	last: number;
	inside: number;
}

interface Node {
	path: string;
	label: string;
	folders: Map<string, Node>;
	leaves: Experiment[];
	runs: number;
	last: number;
	inside: number;
}

const NONE: Experiment[] = [];

/* Counting may take a twentieth of the server's time at most. */
const COUNT_SHARE = 20;

/* Below this many, all folders start open. */
const OPEN_BELOW = 60;

export default function Experiments() {
	const q = param('q');
	const sort = param('sort', 'name');
	const archived = param('archived');
	const deleted = archived.value === '1';
	const list = useLoad((abort) => experimentList(deleted ? 'DELETED_ONLY' : 'ACTIVE_ONLY', abort), [deleted]);
	const [folded, setFolded] = useState<ReadonlyMap<string, boolean>>(new Map());
	const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
	const [about, setAbout] = useState<string | null>(null);
	document.title = 'Experiments · tallyd';

	/* changes bring runs far more often than experiments: their names are read again only for those that are not about runs */
	const took = useRef(0);
	const counts = useLoad(async (abort) => {
		const began = performance.now();
		const answer = await experimentCounts(abort);
		took.current = performance.now() - began;
		return answer;
	}, []);
	useEffect(() => {
		const names = throttle(list.reload, 1000);
		const numbers = throttle(counts.reload, () => Math.max(1000, took.current * COUNT_SHARE));
		return onChange((change) => {
			numbers();
			if (change.resync || !change.runs?.length || change.experiments?.some((id) => !known.current.has(id)))
				names();
		});
	}, []);

	const all = list.data ?? NONE;
	const known = useRef<ReadonlySet<string>>(new Set());
	known.current = useMemo(() => new Set(all.map((e) => e.experiment_id)), [all]);
	const down = sort.value.startsWith('-');
	const by = sort.value.replace('-', '');
	const lines = useMemo(() => flatten(all, counts.data, q.value, by, down, folded), [all, counts.data, q.value, by, down, folded]);
	const runsOf = (e: Experiment) => counts.data?.get(e.experiment_id)?.run_count ?? 0;
	const allRuns = useMemo(() => all.reduce((n, e) => n + runsOf(e), 0), [all, counts.data]);
	const act = (promise: Promise<unknown>, words: string) => promise.then(() => { say(words); list.reload(); });

	const create = () => ask({
		title: 'New experiment',
		fields: [
			{ name: 'name', label: 'Name', required: true, hint: 'Slashes make folders: team/project/experiment' },
			{ name: 'location', label: 'Artifact location (optional)', hint: 'A folder or gs:// path; empty takes the server\'s own. It cannot be changed later.' },
		],
		action: 'Create',
		run: async (v) => {
			const made = await experimentCreate((v['name'] ?? '').trim(), (v['location'] ?? '').trim());
			go(`/experiments/${made.experiment_id}/runs`);
		},
	});
	const rename = (e: Experiment) => ask({ title: 'Rename the experiment', fields: [{ name: 'name', label: 'Name', value: e.name, required: true }], action: 'Rename', run: (v) => act(experimentRename(e.experiment_id, (v['name'] ?? '').trim()), 'Renamed') });
	const remove = (some: Experiment[]) => ask({
		title: some.length === 1 ? 'Delete the experiment' : `Delete ${some.length} experiments`,
		text: <>{some.length === 1 ? <b class="wrap">{some[0]!.name}</b> : `${some.length} experiments`} and {plural(some.reduce((n, e) => n + runsOf(e), 0), 'run')} move to the deleted ones and can be restored.</>,
		action: 'Delete', danger: true,
		run: async () => {
			for (const e of some)
				await experimentDelete(e.experiment_id);
			setChosen(new Set());
			say('Deleted');
			list.reload();
		},
	});
	const restore = async (some: Experiment[]) => {
		try {
			for (const e of some)
				await experimentRestore(e.experiment_id);
			setChosen(new Set());
			say('Restored');
		} catch (problem) {
			complain(problem);
		}
		list.reload();
	};
	const picked = all.filter((e) => chosen.has(e.experiment_id));
	const head = (id: string, label: string) => (
		<button type="button" class={by === id ? 'on' : ''} onClick={() => { sort.value = by === id ? (down ? id : `-${id}`) : id === 'name' ? id : `-${id}`; }}>{label}{by === id ? (down ? ' ▼' : ' ▲') : ''}</button>
	);

	return (
		<div class="x-page">
			<div class="x-head">
				<h1>Experiments</h1>
				<input class="field" type="search" data-filter placeholder="Search by name or tag" aria-label="Search experiments" value={q.value} onInput={(e) => { q.value = e.currentTarget.value; }} />
				<div class="seg" role="group" aria-label="Which experiments">
					<button type="button" class="btn" aria-pressed={!deleted} onClick={() => { archived.value = ''; }}>Active</button>
					<button type="button" class="btn" aria-pressed={deleted} onClick={() => { archived.value = '1'; }}>Deleted</button>
				</div>
				<span class="grow" />
				<button type="button" class="btn primary" onClick={create}>New experiment</button>
			</div>
			{list.error ? <div class="page"><Failure error={list.error} retry={list.reload} /></div>
				: !list.data ? <Loading what="Loading experiments" />
					: all.length === 0 ? (deleted ? <Empty title="Nothing is deleted"><p>Deleted experiments are kept here until <code>tallyd gc</code> removes them.</p></Empty> : <Start />)
						: lines.length === 0 ? <Empty title="No experiment fits"><p>No name or tag contains <b>{q.value}</b>. <button type="button" class="btn small" onClick={() => { q.value = ''; }}>Clear the search</button></p></Empty>
							: <List lines={lines} head={<><span /><span role="columnheader" aria-sort={by === 'name' ? (down ? 'descending' : 'ascending') : 'none'}>{head('name', 'Name')}</span><span class="num x-meta" role="columnheader">{head('runs', 'Runs')}</span><span role="columnheader">{head('last', 'Last activity')}</span><span class="x-meta" role="columnheader">{head('created', 'Created')}</span><span class="x-meta" role="columnheader">Tags</span><span /></>}>
								{(line) => line.experiment
									? <Leaf key={line.key} line={line} counted={!!counts.data} experiment={line.experiment} chosen={chosen.has(line.experiment.experiment_id)} onChoose={(on) => setChosen((old) => { const next = new Set(old); if (on) next.add(line.experiment!.experiment_id); else next.delete(line.experiment!.experiment_id); return next; })}
										menu={(close) => (
											<>
												<button type="button" onClick={() => { close(); setAbout(line.experiment!.experiment_id); }}>Details, tags and description</button>
												<button type="button" onClick={async () => { close(); if (await copy(line.experiment!.artifact_location)) say('Artifact location copied'); }}>Copy artifact location</button>
												<button type="button" onClick={async () => { close(); if (await copy(line.experiment!.experiment_id)) say('Experiment id copied'); }}>Copy experiment id</button>
												<hr />
												{deleted ? <button type="button" onClick={() => { close(); void restore([line.experiment!]); }}>Restore</button> : <>
													<button type="button" onClick={() => { close(); rename(line.experiment!); }}>Rename…</button>
													<button type="button" class="danger" onClick={() => { close(); remove([line.experiment!]); }}>Delete…</button>
												</>}
											</>
										)} />
									: <Folder key={line.key} line={line} onFold={() => setFolded((old) => new Map(old).set(line.key, !line.open))} />}
							</List>}
			{picked.length > 0
				? <div class="x-foot on" role="region" aria-label="Selected experiments"><b>{picked.length} selected</b>
					{deleted ? <button type="button" class="btn" onClick={() => restore(picked)}>Restore</button> : <>
						<a class="btn primary" href={href(`/experiments/${picked.map((e) => e.experiment_id).join(',')}/runs`)}>Open {picked.length > 1 ? 'together' : ''}</a>
						<button type="button" class="btn danger" onClick={() => remove(picked)}>Delete…</button></>}
					<button type="button" class="btn quiet" onClick={() => setChosen(new Set())}>Clear</button></div>
				: <div class="x-foot"><span>{plural(all.length, deleted ? 'deleted experiment' : 'experiment')}</span><span>{counts.data ? plural(allRuns, 'run') : ''}</span><span class="grow" /><span class="hints hide-narrow"><span><kbd>/</kbd> search</span><span><kbd>?</kbd> all keys</span></span></div>}
			{about && <About id={about} onClose={() => { setAbout(null); list.reload(); }} />}
		</div>
	);
}

function Leaf({ line, experiment: e, counted, chosen, onChoose, menu }: { line: Line; experiment: Experiment; counted: boolean; chosen: boolean; onChoose: (on: boolean) => void; menu: (close: () => void) => preact.ComponentChildren }) {
	return (
		<>
			<span role="gridcell"><input type="checkbox" aria-label={`Select ${e.name}`} checked={chosen} onChange={(ev) => onChoose(ev.currentTarget.checked)} /></span>
			<span class="x-name" role="gridcell" style={{ paddingLeft: `${6 + line.depth * 20}px` }}><Icon name="flask" /><a class="clip" href={href(`/experiments/${e.experiment_id}/runs`)} title={e.name}>{line.label}</a></span>
			<span class="num x-meta" role="gridcell">{counted ? count(line.runs) : ''}</span>
			<span class="x-when" role="gridcell"><Ago ms={line.last || undefined} /><span class="only-narrow muted">{counted ? plural(line.runs, 'run') : ''}</span></span>
			<span class="x-when x-meta" role="gridcell"><Ago ms={e.creation_time} /></span>
			<span class="x-tags x-meta" role="gridcell">{ownTags(e.tags).slice(0, 4).map((t) => <span class="chip clip" key={t.key} title={`${t.key}: ${t.value}`}>{t.key}: {t.value}</span>)}</span>
			<span role="gridcell"><Menu class="btn quiet small" name={`More for ${e.name}`} label={<Icon name="more" />} right>{menu}</Menu></span>
		</>
	);
}

function Folder({ line, onFold }: { line: Line; onFold: () => void }) {
	return (
		<>
			<span role="gridcell" />
			<span class="x-name" role="gridcell" style={{ paddingLeft: `${6 + line.depth * 20}px` }}>
				<button type="button" class="x-fold" aria-expanded={line.open} onClick={onFold}><Icon name={line.open ? 'down' : 'right'} /><Icon name="folder" /><span class="clip">{line.label}</span><span class="muted small">{line.inside}</span></button>
			</span>
			<span class="num x-meta muted" role="gridcell">{count(line.runs)}</span>
			<span class="x-when muted" role="gridcell"><Ago ms={line.last} /></span>
			<span class="x-meta" role="gridcell" /><span class="x-meta" role="gridcell" /><span role="gridcell" />
		</>
	);
}

function List({ lines, head, children }: { lines: Line[]; head: preact.ComponentChildren; children: (line: Line) => preact.ComponentChildren }) {
	const box = useRef<HTMLDivElement>(null);
	const [view, setView] = useState({ top: 0, height: 800, row: 34 });
	useLayoutEffect(() => {
		const el = box.current!;
		const read = () => setView({ top: el.scrollTop, height: el.clientHeight, row: innerWidth <= 720 ? 52 : 34 });
		el.addEventListener('scroll', read, { passive: true });
		const size = new ResizeObserver(read);
		size.observe(el);
		read();
		return () => {
			el.removeEventListener('scroll', read);
			size.disconnect();
		};
	}, []);
	/* from row to row as in the runs table; left and right fold and unfold */
	const keys = (event: KeyboardEvent) => {
		const on = document.activeElement as HTMLElement;
		if (event.ctrlKey || event.metaKey || event.altKey || on.closest('.menu'))
			return;
		const by = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
		const names = [...box.current!.querySelectorAll<HTMLElement>('.x-body .x-name > :is(a, button)')];
		const at = names.indexOf(on.closest('.x-row')?.querySelector<HTMLElement>('.x-name > :is(a, button)') ?? on);
		if (by) {
			event.preventDefault();
			const shown = names.findIndex((n) => n.getBoundingClientRect().top > box.current!.getBoundingClientRect().top + view.row);
			const next = names[at < 0 ? shown : at + by];
			next?.focus({ preventScroll: true });
			next?.closest('.x-row')?.scrollIntoView({ block: 'nearest' });
		} else if ((event.key === 'ArrowRight' || event.key === 'ArrowLeft') && names[at]?.getAttribute('aria-expanded') === String(event.key === 'ArrowLeft')) {
			event.preventDefault();
			names[at]!.click();
		}
	};
	const first = Math.max(0, Math.floor(view.top / view.row) - 8);
	const last = Math.min(lines.length, Math.ceil((view.top + view.height) / view.row) + 8);
	return (
		<div class="x-list" ref={box} role="treegrid" aria-label="Experiments" aria-rowcount={lines.length + 1} tabIndex={0} onKeyDown={keys}>
			<div class="x-row x-top" role="row" aria-rowindex={1}>{head}</div>
			<div class="x-body" role="rowgroup" style={{ height: `${lines.length * view.row}px` }}>
				{lines.slice(first, last).map((line, i) => <div class="x-row" role="row" aria-level={line.depth + 1} aria-rowindex={first + i + 2} aria-expanded={line.experiment ? undefined : line.open} key={line.key} style={{ top: `${(first + i) * view.row}px` }}>{children(line)}</div>)}
			</div>
		</div>
	);
}

function Start() {
	return (
		<Empty title="No experiments yet">
			<p>The first run makes one. Point the MLflow client at this server:</p>
			<Code text={`import mlflow\n\nmlflow.set_tracking_uri("${root.replace(/\/$/, '')}")\nmlflow.set_experiment("team/project/first")\n\nwith mlflow.start_run():\n    mlflow.log_param("alpha", 0.5)\n    mlflow.log_metric("rmse", 0.79)`} />
		</Empty>
	);
}

function flatten(all: Experiment[], counts: ReadonlyMap<string, RunCount> | undefined, q: string, by: string, down: boolean, folded: ReadonlyMap<string, boolean>): Line[] {
	const words = q.toLowerCase().split(/\s+/).filter(Boolean);
	const fits = (e: Experiment) => words.every((w) => e.name.toLowerCase().includes(w) || e.experiment_id === w || ownTags(e.tags).some((t) => `${t.key}:${t.value}`.toLowerCase().includes(w)));
	const shown = words.length ? all.filter(fits) : all;
	const top: Node = { path: '', label: '', folders: new Map(), leaves: [], runs: 0, last: 0, inside: 0 };
	for (const e of shown) {
		/* a name such as "/Shared/x" or "a//b" has empty parts; they make no folders */
		const parts = e.name.split('/').filter(Boolean);
		let node = top;
		for (const part of parts.slice(0, -1)) {
			let next = node.folders.get(part);
			if (!next)
				node.folders.set(part, next = { path: `${node.path}/${part}`, label: part, folders: new Map(), leaves: [], runs: 0, last: 0, inside: 0 });
			node = next;
			node.runs += counts?.get(e.experiment_id)?.run_count ?? 0;
			node.last = Math.max(node.last, num(counts?.get(e.experiment_id)?.last_run_time ?? 0) || 0);
			node.inside++;
		}
		node.leaves.push(e);
	}
	const openAll = shown.length < OPEN_BELOW || words.length > 0;
	const value = (l: Line): number | string => {
		switch (by) {
		case 'runs': return l.runs;
		case 'last': return l.last;
		case 'created': return num(l.experiment?.creation_time) || 0;
		default: return l.label;
		}
	};
	const out: Line[] = [];
	const walk = (node: Node, depth: number) => {
		const here: [Line, Node | null][] = [];
		for (const folder of node.folders.values()) {
			/* a folder with nothing but one folder in it is written together: team/project */
			let f = folder;
			let label = f.label;
			while (f.leaves.length === 0 && f.folders.size === 1) {
				f = [...f.folders.values()][0]!;
				label = `${label}/${f.label}`;
			}
			here.push([{ key: f.path, depth, label, open: folded.get(f.path) ?? openAll, runs: folder.runs, last: folder.last, inside: folder.inside }, f]);
		}
		for (const e of node.leaves)
			here.push([{ key: e.experiment_id, depth, label: e.name.split('/').filter(Boolean).at(-1) ?? e.name, experiment: e, runs: counts?.get(e.experiment_id)?.run_count ?? 0, last: num(counts?.get(e.experiment_id)?.last_run_time ?? 0) || 0, inside: 0 }, null]);
		here.sort(([a, fa], [b, fb]) => {
			if (by === 'name' && !!fa !== !!fb)
				return fa ? -1 : 1;
			const [x, y] = [value(a), value(b)];
			const order = typeof x === 'string' ? names.compare(x, String(y)) : x - Number(y);
			return down ? -order : order;
		});
		for (const [line, inner] of here) {
			out.push(line);
			if (inner && line.open)
				walk(inner, depth + 1);
		}
	};
	walk(top, 0);
	return out;
}

const names = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });
