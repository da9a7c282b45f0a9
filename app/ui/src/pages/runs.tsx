/*
 * The runs of one or several experiments: table and charts. The server filters, sorts, groups and pages; what is seen is
 * in the URL: q sort cols pin group diff base top show split life nest charts v.
 */
import './runs.css';
import { signal, useSignal, useSignalEffect } from '@preact/signals';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { aborted, ApiError, get, passing, post, root, send } from '../api/client';
import { experimentDelete, experimentGet, experimentRename } from '../api/experiments';
import { onChange } from '../api/live';
import { countRuns, fetchRows, keysOf, plainKeysOf, RunSource, type Question } from '../api/runs';
import type { RunGroup, RunRow, View } from '../api/types';
import { Empty, Failure, Loading } from '../components/bits';
import { Code, copy, CopyLine } from '../components/copy';
import { ask } from '../components/dialog';
import { Icon } from '../components/icon';
import { lazy } from '../components/lazy';
import { throttle, useLoad } from '../components/load';
import { Menu } from '../components/menu';
import { QueryBox } from '../components/query/box';
import { andAlso, quoted, quotedValue } from '../components/query/language';
import { Grid, type Column } from '../components/table/grid';
import { complain, say } from '../components/toast';
import { count, plural, short } from '../format';
import type { PageProps } from '../routes';
import { runColourVar, runStyle } from '../state/colour';
import { linkOf, select, selection } from '../state/selection';
import { keep, recall } from '../state/theme';
import { go, href, pack, param, paramList, path, query, readable, setQuery } from '../state/url';
import { num } from '../api/types';
import { deleteRuns, downloadCsv, everyRow, restoreRuns, tagRuns } from './runs-actions';
import { asked, cellOf, EXTREMES, isExtreme, lasting, numberOf, PLAIN, RUN_NAME, specOf, split } from './runs-columns';

const ChartsPanel = lazy(() => import('../charts/panel'));
const About = lazy(() => import('../components/about'));
const Chooser = lazy(() => import('./runs-chooser'));
const Groups = lazy(() => import('./runs-groups'));

const DEFAULT_KEYS = 8;
const DRAWN = 10;
/* charts across runs take more of them than curves do */
const DRAWN_ACROSS = 100;
const MOST_SELECTED = 10_000;
const CHILDREN = 1000;
/* so many parents with so many children start open */
const OPEN_PARENTS = 8;
const OPEN_CHILDREN = 60;
const FAMILIES_MS = 5000;
/* columns looked at for differences, and columns read for rows that are shown apart from the pages */
const COMPARED = 120;
const EVERY = 20_000;
const CHARTED = 400;
const FOLDED = 40;
const SORTS = 40;
/* runs pinned to the top at once */
const PINNED = 8;
const NEWEST = '-attributes.start_time';

interface Block {
	at: number;
	lines: Line[];
}

interface Line {
	row: RunRow;
	depth: number;
}

const NONE: Block[] = [];
const NO_FOLDS: ReadonlyMap<string, boolean> = new Map();
const NO_CHILDREN: ReadonlyMap<string, RunRow[]> = new Map();
const STUCK: RunRow[] = [];

export default function Runs({ parts }: PageProps) {
	const ids = useMemo(() => (parts[0] ?? '').split(',').filter(Boolean), [parts[0]]);
	const first = ids[0] ?? '0';
	const q = param('q', '', true);
	const sort = param('sort', NEWEST, true);
	const cols = paramList('cols');
	const pins = paramList('pin');
	const group = paramList('group', true);
	const diff = param('diff');
	const base = param('base');
	const tops = paramList('top');
	const show = param('show', `top:${param('chart', 'curves').value === 'curves' ? DRAWN : DRAWN_ACROSS}`);
	const splitAt = param('split', '36');
	const deleted = param('life').value === 'deleted';
	const nest = param('nest', q.value ? '0' : '1').value === '1' && !q.value;
	const narrow = useNarrow();
	const onlyCharts = path.value.endsWith('/charts');
	const charts = onlyCharts || (param('charts', narrow || innerWidth < 1000 ? '0' : '1').value === '1');

	const experiments = useLoad((abort) => Promise.all(ids.map((id) => experimentGet(id, abort))), [ids]);
	const keys = useLoad(async (abort) => {
		const [metrics, params] = await Promise.all([keysOf(ids, 'metrics', '', 200, abort), keysOf(ids, 'params', '', 200, abort)]);
		const plain = metrics.total > metrics.keys.length ? await plainKeysOf(ids, 'metrics', 200, abort) : [];
		return [{ ...metrics, keys: [...plain, ...metrics.keys.filter((k) => !plain.includes(k))] }, params] as const;
	}, [ids]);
	/* "metrics.*" in cols means every metric; the list is read only then */
	const stars = cols.value.filter((id) => id.endsWith('.*')).join();
	const all = useLoad(async (abort) => (stars ? Object.fromEntries(await Promise.all(stars.split(',').map(async (id) => [id, (await keysOf(ids, id.slice(0, -2) as 'metrics', '', EVERY, abort)).keys.map((k) => id.slice(0, -1) + k)] as const))) : {}), [ids, stars]);
	const families = useLoad((abort) => childCounts(ids, deleted, abort), [ids, deleted]);
	const views = useLoad((abort) => get<{ views?: View[] }>('tallyd/views', { experiment_id: first }, abort).then((a) => (a.views ?? []).filter((v) => !v.name.startsWith('.'))), [first]);
	const [about, setAbout] = useState(false);
	/* parents opened and closed by hand, and the children that are read */
	const [folds, setFolds] = useState<ReadonlyMap<string, boolean>>(NO_FOLDS);
	const [children, setChildren] = useState<ReadonlyMap<string, RunRow[]>>(NO_CHILDREN);
	const [widths, setWidths] = useState<Record<string, number>>(() => JSON.parse(recall('tallyd.widths') ?? '{}') as Record<string, number>);
	const [turn, setTurn] = useState(0);
	const [sticky, setSticky] = useState<RunRow[]>(STUCK);
	const [running, setRunning] = useState(0);
	const active = useSignal(0);
	const scrollTo = useSignal(-1);
	const atTop = useRef(true);
	const now = Date.now();

	const name = experiments.data?.map((e) => e.name).join(', ') ?? '';
	document.title = `${name || 'Runs'} · tallyd`;

	/* a saved view fills in what the link does not say itself */
	const v = param('v').value;
	const view = views.data?.find((x) => x.view_id === v);
	useEffect(() => {
		if (view && [...query.value.keys()].every((k) => k === 'v'))
			setQuery(Object.fromEntries(new URLSearchParams(view.query)));
	}, [view?.view_id]);

	const down = sort.value.startsWith('-');
	const sortId = sort.value.replace(/^-/, '');
	const hasFamilies = nest && (families.data?.size ?? 0) > 0;
	const question = useMemo<Question>(() => {
		const order = specOf(sortId).order;
		return {
			experiment_ids: ids,
			filter: hasFamilies ? 'tags.`mlflow.parentRunId` IS NULL' : q.value,
			order_by: order ? [`${order} ${down ? 'DESC' : 'ASC'}`] : [],
			run_view_type: deleted ? 'DELETED_ONLY' : 'ACTIVE_ONLY',
		};
	}, [ids, q.value, sortId, down, deleted, hasFamilies]);
	const source = useMemo(() => new RunSource(question), [question]);
	useEffect(() => () => source.stop(), [source]);
	/* without the table nobody else asks for the runs that the charts draw; and the table asks when what is in sight changes, which it does
	   not from one question to the next while neither is answered */
	const tableless = onlyCharts || (narrow && charts) || group.value.length > 0;
	const lastSeen = useRef<string[]>([]);
	useEffect(() => {
		if (tableless || source.idle)
			source.need(0, 30, tableless ? [] : lastSeen.current);
	}, [source, tableless]);
	useEffect(() => { active.value = 0; scrollTo.value = 0; setFolds(NO_FOLDS); }, [source]);
	useEffect(() => { selection.value = new Set(); }, [ids]);
	void source.version.value;

	const chosen = useMemo(() => {
		if (query.value.has('cols'))
			return unfoldColumns(cols.value, all.data);
		const [metrics, params] = keys.data ?? [];
		const own = (metrics?.keys ?? []).filter((k) => !k.startsWith('system/'));
		return [...PLAIN.slice(0, 3).map((s) => s.id), ...own.slice(0, DEFAULT_KEYS).map((k) => `metrics.${k}`), ...(params?.keys ?? []).slice(0, DEFAULT_KEYS).map((k) => `params.${k}`), ...PLAIN.slice(3).map((s) => s.id)];
	}, [query.value.get('cols'), keys.data, all.data]);

	const loaded = source.loaded();
	const constant = useMemo(() => {
		if (diff.value !== '1' || loaded.length < 2)
			return new Set<string>();
		const read = (r: RunRow, id: string) => { const [kind, key] = split(id); return kind === 'params' ? r.params[key] : kind === 'tags' ? r.tags[key] : numberOf(r, id); };
		return new Set(chosen.filter((id) => asked([id]).length > 0).slice(0, COMPARED).filter((id) => source.has(asked([id])[0]!) && loaded.every((r) => read(r, id) === read(loaded[0]!, id))));
	}, [diff.value, source.version.value, chosen]);
	const shownColumns = useMemo(() => {
		const list = chosen.filter((id) => !constant.has(id) && id !== RUN_NAME.id);
		const pinned = new Set(pins.value);
		return [...list.filter((id) => pinned.has(id)), ...list.filter((id) => !pinned.has(id))];
	}, [chosen, constant, query.value.get('pin')]);

	/* the baseline and pinned runs stay under the head with the columns in sight */
	const wantedColumns = useMemo(() => asked(shownColumns).slice(0, COMPARED).join('\n'), [shownColumns]);
	const stuck = [...new Set([base.value, ...tops.value])].map((id) => id.replace(/[^\w-]/g, '')).filter(Boolean).slice(0, PINNED).join();
	useEffect(() => {
		if (!stuck) {
			setSticky(STUCK);
			return;
		}
		const abort = new AbortController();
		const list = stuck.split(',');
		fetchRows({ ...question, filter: `attributes.run_id IN (${list.map((id) => `'${id}'`).join(',')})`, order_by: [] }, 0, list.length, wantedColumns.split('\n').filter(Boolean), abort.signal).then((a) => setSticky(list.flatMap((id) => a.runs.find((r) => r.info.run_id === id) ?? [])), () => undefined);
		return () => abort.abort();
	}, [stuck, wantedColumns, turn, question]);
	const baseRow = base.value ? sticky.find((r) => r.info.run_id === base.value) : undefined;
	const pinRun = (ids: string[], on: boolean) => {
		const next = on ? [...tops.value, ...ids.filter((id) => !tops.value.includes(id))] : tops.value.filter((id) => !ids.includes(id));
		if (next.length > PINNED)
			say(`At most ${PINNED} runs are pinned at once.`);
		tops.value = next.slice(-PINNED);
	};

	/* a few children are shown at once: what a sweep logs is in them. Those that come while one looks on fold nothing up. */
	const nested = [...(families.data?.values() ?? [])].reduce((n, c) => n + c, 0);
	const small = useMemo(() => hasFamilies && families.data!.size <= OPEN_PARENTS && nested <= OPEN_CHILDREN, [ids, hasFamilies]);
	const opened = hasFamilies ? [...families.data!.keys()].filter((id) => folds.get(id) ?? small).join() : '';
	useEffect(() => {
		if (!opened) {
			setChildren(NO_CHILDREN);
			return;
		}
		const abort = new AbortController();
		Promise.all(opened.split(',').map(async (id) => [id, (await fetchRows({ ...question, filter: `tags.\`mlflow.parentRunId\` = '${id}'` }, 0, CHILDREN, wantedColumns.split('\n').filter(Boolean), abort.signal)).runs ?? []] as const))
			.then((all) => setChildren(new Map(all)), (problem) => { if (!aborted(problem) && !passing(problem)) complain(problem); });
		return () => abort.abort();
	}, [opened, question, wantedColumns, turn]);
	const unfolded = useMemo(() => new Map([...children].filter(([id]) => opened.split(',').includes(id))), [children, opened]);
	const unfold = (row: RunRow) => setFolds((old) => new Map(old).set(row.info.run_id, !(old.get(row.info.run_id) ?? small)));

	/* unfolded parents put their children between the rows */
	const blocks = useMemo(() => {
		if (unfolded.size === 0)
			return NONE;
		const out: Block[] = [];
		const under = (id: string, depth: number): Line[] => (unfolded.get(id) ?? []).flatMap((row) => [{ row, depth }, ...under(row.info.run_id, depth + 1)]);
		for (let i = 0; i < (source.total.value ?? 0); i++) {
			const row = source.at(i);
			if (row && unfolded.has(row.info.run_id))
				out.push({ at: i, lines: under(row.info.run_id, 1) });
		}
		return out;
	}, [unfolded, source.version.value]);
	const extra = blocks.reduce((n, b) => n + b.lines.length, 0);
	const lineAt = (i: number): Line | undefined => {
		let shift = 0;
		for (const b of blocks) {
			if (i <= b.at + shift)
				break;
			if (i <= b.at + shift + b.lines.length)
				return b.lines[i - b.at - shift - 1];
			shift += b.lines.length;
		}
		const row = source.at(i - shift);
		return row && { row, depth: 0 };
	};
	const total = source.total.value;
	const lines = (total ?? 0) + extra;

	/* what is drawn: ids chosen by hand, or the first rows of the table */
	const drawnIds = useMemo(() => {
		const top = /^top:(\d+)$/.exec(show.value);
		const list = top ? Array.from({ length: Math.min(Number(top[1]), lines) }, (_, i) => lineAt(i)?.row.info.run_id).filter((id): id is string => !!id) : show.value === 'none' ? [] : show.value.split(',').filter(Boolean);
		return base.value && !list.includes(base.value) ? [base.value, ...list] : list;
	}, [show.value, base.value, source.version.value, blocks]);
	const drawn = useMemo(() => new Set(drawnIds), [drawnIds]);
	const drawnRows = useMemo(() => {
		const known = new Map<string, RunRow>();
		for (const r of [...loaded, ...[...unfolded.values()].flat(), ...sticky])
			known.set(r.info.run_id, r);
		return drawnIds.map((id) => known.get(id) ?? { info: { run_id: id, experiment_id: first, status: 'FINISHED', lifecycle_stage: 'active' }, metrics: {}, params: {}, tags: {} } as RunRow);
	}, [drawnIds, source.version.value, sticky, unfolded]);
	const toggleDrawn = (id: string) => {
		const next = drawn.has(id) ? drawnIds.filter((x) => x !== id) : [...drawnIds, id];
		show.value = next.length ? next.join(',') : 'none';
	};

	/* changes as they are committed */
	const familiesAgain = useRef(() => undefined as void);
	familiesAgain.current = () => { if (hasFamilies) families.reload(); };
	const fresh = useRef(() => undefined as void);
	fresh.current = () => {
		void source.refresh(atTop.current);
		setTurn((t) => t + 1);
		countRunning(ids).then(setRunning, () => undefined);
	};
	useEffect(() => {
		countRunning(ids).then(setRunning, () => undefined);
		const soon = throttle(() => fresh.current(), 1000);
		const later = throttle(() => familiesAgain.current(), FAMILIES_MS);
		return onChange((change) => {
			if (change.resync || change.experiments?.some((e) => ids.includes(e))) {
				soon();
				later();
			}
		});
	}, [ids]);
	/* a first run brings the first keys */
	const noKeys = keys.data && keys.data[0].total === 0 && keys.data[1].total === 0;
	useSignalEffect(() => { if (source.version.value > 1 && noKeys) keys.reload(); });

	const after = () => {
		selection.value = new Set();
		source.reset();
		families.reload();
		setTurn((t) => t + 1);
	};
	const chooseRow = (id: string, on: boolean) => select([id], on);
	const allOn = source.counted.value && total !== undefined && total > 0 && selection.value.size >= total;
	const selectAll = async () => {
		if (selection.value.size > 0) {
			selection.value = new Set();
			return;
		}
		if (source.counted.value && (total ?? 0) <= loaded.length && blocks.length === 0) {
			select(loaded.map((r) => r.info.run_id), true);
			return;
		}
		try {
			const rows = await everyRow({ ...question, filter: q.value }, [], MOST_SELECTED);
			select(rows.map((r) => r.info.run_id), true);
			if (rows.length >= MOST_SELECTED)
				say(`The first ${count(MOST_SELECTED)} runs are selected; that is the most at once.`);
		} catch (problem) {
			complain(problem);
		}
	};
	const compare = async () => {
		const picked = [...selection.value];
		if (picked.length === 0)
			return;
		try {
			go(`/experiments/${parts[0]}/compare?runs=${await linkOf(first, picked)}${base.value && selection.value.has(base.value) ? `&base=${base.value}` : ''}`);
		} catch (problem) {
			complain(problem);
		}
	};
	const open = (row: RunRow) => go(`/runs/${row.info.run_id}`);

	/* cells read what changes often from here, so that 12,000 columns are not made anew for it */
	const current = { drawn, baseRow, unfolded, families: families.data, lineAt, toggleDrawn, unfold, selectAll, base: base.value, tops: tops.value, pinRun, nest };
	const latest = useRef(current);
	latest.current = current;
	const pinned = query.value.get('pin');
	const columns = useMemo<Column<RunRow>[]>(() => {
		const pinnedIds = new Set(pins.value);
		return [
		{ id: 'select', title: '', group: '', width: 60, pinned: true, fixed: true,
			head: <input type="checkbox" aria-label="Select all that match" checked={allOn} ref={(el) => { if (el) el.indeterminate = !allOn && selection.value.size > 0; }} onChange={() => void latest.current.selectAll()} />,
			cell: (row) => <><Check row={row} onCheck={chooseRow} /><Mark id={row.info.run_id} name={row.info.run_name ?? ''} on={latest.current.drawn.has(row.info.run_id)} base={row.info.run_id === latest.current.base} onToggle={latest.current.toggleDrawn} /></> },
		{ ...RUN_NAME, width: widths[RUN_NAME.id] ?? RUN_NAME.width, pinned: true, sortable: true,
			cell: (row, i) => {
				const { nest, unfolded, unfold, base, tops, pinRun } = latest.current;
				const depth = i < 0 ? 0 : latest.current.lineAt(i)?.depth ?? 0;
				const inside = latest.current.families?.get(row.info.run_id);
				return (
					<span class="r-name" style={{ paddingLeft: `${depth * 16}px` }}>
						{inside && nest ? <button type="button" class="r-fold" aria-expanded={unfolded.has(row.info.run_id)} aria-label={`Children of ${row.info.run_name}`} onClick={() => unfold(row)}><Icon name={unfolded.has(row.info.run_id) ? 'down' : 'right'} /></button> : null}
						{!nest && row.tags['mlflow.parentRunId'] ? <span class="muted" title={`Child of ${row.tags['mlflow.parentRunId']}`}>↳</span> : null}
						<a href={href(`/runs/${row.info.run_id}`)} title={row.info.run_name ?? row.info.run_id}>{row.info.run_name || row.info.run_id}</a>
						{inside && nest ? <span class="muted">{inside}</span> : null}
						{row.info.run_id === base && <span class="tag">Baseline</span>}
						{tops.includes(row.info.run_id) && <button type="button" tabIndex={-1} class="r-pinned" aria-label={`Unpin ${row.info.run_name ?? row.info.run_id}`} title="Pinned to the top; click to unpin" onClick={() => pinRun([row.info.run_id], false)}><Icon name="pin" /></button>}
					</span>
				);
			} },
		...shownColumns.map<Column<RunRow>>((id) => {
			const spec = specOf(id);
			const delta = !!baseRow && (id.startsWith('metrics.') || isExtreme(split(id)[0]));
			return { ...spec, width: widths[id] ?? spec.width + (delta ? 46 : 0), pinned: pinnedIds.has(id), sortable: !!spec.order, cell: (row) => cellOf(row, id, latest.current.baseRow, Date.now()) };
		}),
		];
	}, [shownColumns, widths, !!baseRow, allOn, selection.value.size > 0, pinned]);

	const toggleSort = (id: string, to?: boolean) => {
		const numeric = id.startsWith('metrics.') || isExtreme(split(id)[0]);
		const next = to ?? (sortId === id ? !down : /_time$|^duration$/.test(id) || (numeric && !/loss|err|mae|mse/i.test(id)));
		sort.value = `${next ? '-' : ''}${id}`;
	};
	const onKey = (event: KeyboardEvent) => {
		if (event.target instanceof HTMLElement && /^(input|textarea|select)$/i.test(event.target.tagName) && !(event.key === 'Escape'))
			return;
		if (event.ctrlKey || event.metaKey || event.altKey)
			return;
		const onGrid = event.target instanceof HTMLElement && event.target.getAttribute('role') === 'grid';
		const move = (to: number, mark = false) => {
			const next = Math.max(0, Math.min(lines - 1, to));
			if (mark) {
				const here = [lineAt(active.value), lineAt(next)].flatMap((l) => (l ? [l.row.info.run_id] : []));
				select(here, true);
			}
			active.value = next;
			scrollTo.value = -1;
			scrollTo.value = next;
			event.preventDefault();
		};
		const row = lineAt(active.value)?.row;
		switch (event.key) {
		case 'ArrowDown': case 'j': case 'J': return move(active.value + 1, event.shiftKey);
		case 'ArrowUp': case 'k': case 'K': return move(active.value - 1, event.shiftKey);
		case 'PageDown': return move(active.value + 20);
		case 'PageUp': return move(active.value - 20);
		case 'Home': return move(0);
		case 'End': return move(lines - 1);
		case 'ArrowRight': case 'ArrowLeft':
			if (row && hasFamilies && families.data?.has(row.info.run_id) && unfolded.has(row.info.run_id) === (event.key === 'ArrowLeft')) {
				event.preventDefault();
				unfold(row);
			}
			return;
		case ' ':
			if (row && onGrid) {
				event.preventDefault();
				chooseRow(row.info.run_id, !selection.value.has(row.info.run_id));
			}
			return;
		case 'Enter':
			if (row && onGrid)
				open(row);
			return;
		case 'v': if (row) toggleDrawn(row.info.run_id); return;
		case 'b': if (row) base.value = base.value === row.info.run_id ? '' : row.info.run_id; return;
		case 'p': if (row) pinRun([row.info.run_id], !tops.value.includes(row.info.run_id)); return;
		case 'a': void selectAll(); return;
		case 'c': void compare(); return;
		case 'Escape': selection.value = new Set(); return;
		}
	};

	const columnMenu = (c: Column<RunRow>, close: () => void) => {
		const [kind, key] = split(c.id);
		const then = (run: () => void) => () => { close(); run(); };
		const beside = (by: number) => {
			const list = shownColumns.filter((id) => pins.value.includes(id) === pins.value.includes(c.id));
			return list[list.indexOf(c.id) + by];
		};
		const isKey = kind === 'metrics' || kind === 'params' || kind === 'tags';
		const resize = (by: number) => onResize(c.id, Math.max(48, c.width + by));
		return (
			<>
				{c.sortable && <><button type="button" onClick={then(() => toggleSort(c.id, false))}>Sort ascending ▲</button><button type="button" onClick={then(() => toggleSort(c.id, true))}>Sort descending ▼</button></>}
				{c.id !== RUN_NAME.id && <button type="button" onClick={then(() => { pins.value = pins.value.includes(c.id) ? pins.value.filter((p) => p !== c.id) : [...pins.value, c.id]; })}>{pins.value.includes(c.id) ? 'Unpin' : 'Pin to the left'}</button>}
				{(kind === 'params' || kind === 'tags') && <button type="button" onClick={then(() => { group.value = [...group.value.filter((g) => g !== c.id), c.id]; })}>Group by this</button>}
				{isKey && <button type="button" onClick={then(() => { const f = document.querySelector<HTMLInputElement>('[data-filter]'); q.value = andAlso(q.value, kind === 'metrics' ? `metrics.${quoted(key)} < ${short(num(loaded[0]?.metrics[key]) || 0)}` : `${kind}.${quoted(key)} = ${quotedValue((kind === 'params' ? loaded[0]?.params : loaded[0]?.tags)?.[key] ?? '')}`); requestAnimationFrame(() => f?.focus()); })}>Filter by this</button>}
				{(kind === 'metrics' || isExtreme(kind)) && EXTREMES.filter((end) => !shownColumns.includes(`${end}.${key}`)).map((end) => <button type="button" key={end} onClick={then(() => showColumns([...chosen.slice(0, chosen.indexOf(c.id) + 1), `${end}.${key}`, ...chosen.slice(chosen.indexOf(c.id) + 1).filter((id) => id !== `${end}.${key}`)]))}>Add the {end} of its history</button>)}
				{c.id !== RUN_NAME.id && beside(-1) && <button type="button" onClick={then(() => moveColumn(c.id, beside(-1)!, false))}>Move left</button>}
				{c.id !== RUN_NAME.id && beside(1) && <button type="button" onClick={then(() => moveColumn(c.id, beside(1)!, true))}>Move right</button>}
				<button type="button" onClick={then(() => resize(60))}>Wider</button>
				<button type="button" onClick={then(() => resize(-40))}>Narrower</button>
				{c.id !== RUN_NAME.id && <><hr /><button type="button" onClick={then(() => showColumns(chosen.filter((id) => id !== c.id)))}>Hide</button></>}
			</>
		);
	};
	const showColumns = (list: string[], whole?: Record<string, string[]>) => setQuery({ cols: pack(foldColumns(list, { ...all.data, ...whole })) || ',' });
	const moveColumn = (id: string, beside: string, after: boolean) => {
		if (id === RUN_NAME.id || id === beside || !chosen.includes(id))
			return;
		const list = chosen.filter((x) => x !== id);
		const at = beside === RUN_NAME.id || beside === 'select' ? 0 : list.indexOf(beside) + (after ? 1 : 0);
		showColumns([...list.slice(0, at), id, ...list.slice(at)]);
	};
	const onResize = (id: string, width: number) => setWidths((old) => {
		const next = { ...old, [id]: Math.round(width) };
		keep('tallyd.widths', JSON.stringify(next));
		return next;
	});

	const filterError = source.error.value instanceof ApiError && source.error.value.status === 400 ? source.error.value.message : undefined;
	const metricKeys = useMemo(() => {
		const columnsFirst = shownColumns.filter((id) => id.startsWith('metrics.')).map((id) => split(id)[1]);
		return [...new Set([...columnsFirst, ...(keys.data?.[0].keys ?? []).filter((k) => !k.startsWith('system/'))])].slice(0, CHARTED);
	}, [shownColumns, keys.data]);
	const cardMetrics = !narrow ? [] : shownColumns.filter((id) => id.startsWith('metrics.')).sort((a) => (a === sortId ? -1 : 0)).slice(0, 2);
	const cardParam = narrow && shownColumns.find((id) => id.startsWith('params.'));
	const card = narrow ? {
		height: 62,
		draw: (row: RunRow) => (
			<>
				<div class="c-one"><Check row={row} onCheck={chooseRow} /><Mark id={row.info.run_id} name={row.info.run_name ?? ''} on={drawn.has(row.info.run_id)} base={row.info.run_id === base.value} onToggle={toggleDrawn} /><a class="c-name" href={href(`/runs/${row.info.run_id}`)}>{row.info.run_name || row.info.run_id}</a>
					{nest && families.data?.get(row.info.run_id) ? <button type="button" class="r-fold" aria-expanded={unfolded.has(row.info.run_id)} aria-label={`Children of ${row.info.run_name}`} onClick={() => unfold(row)}><Icon name={unfolded.has(row.info.run_id) ? 'down' : 'right'} />{families.data.get(row.info.run_id)}</button> : null}
					{cardMetrics.map((id) => <span class="num" key={id}>{cellOf(row, id, undefined, now)}</span>)}</div>
				<div class="c-two"><span class="clip">{cellOf(row, 'attributes.status', undefined, now)} · {cellOf(row, 'attributes.start_time', undefined, now)} · {lasting(row, now)}</span>{cardParam && row.params[split(cardParam)[1]] !== undefined && <span>{split(cardParam)[1]} {row.params[split(cardParam)[1]]}</span>}</div>
			</>
		),
	} : undefined;

	const saveView = () => ask({
		title: 'Save this view',
		text: 'Filter, order, columns and charts, for everyone who opens this experiment.',
		fields: [{ name: 'name', label: 'Name', required: true }],
		action: 'Save',
		run: async (values) => {
			const bare = new URLSearchParams(query.value);
			bare.delete('v');
			const made = await post<{ view: View }>('tallyd/views', { experiment_id: first, name: values['name'], query: readable(bare) });
			views.reload();
			setQuery({ v: made.view.view_id });
		},
	});
	const edited = view && (() => { const bare = new URLSearchParams(query.value); bare.delete('v'); return readable(bare) !== view.query; })();
	const openView = (x: View) => go(`${path.value}?v=${x.view_id}`);
	const nameParts = name.split('/').filter(Boolean);
	const single = experiments.data?.length === 1 ? experiments.data[0] : undefined;
	const empty = total === 0 && !q.value && !deleted;

	if (experiments.error && !experiments.data)
		return <div class="page"><Empty title={ids.length > 1 ? 'These experiments cannot be shown' : 'This experiment cannot be shown'}><Failure error={experiments.error} retry={experiments.reload} /><p><a href={href('/experiments')}>See all experiments</a></p></Empty></div>;
	return (
		<div class="r-page">
			<div class="r-head">
				<div class="r-line">
					<div class="grow">
						<h1>{nameParts.length > 1 && ids.length === 1 ? <><a class="r-where" href={href(`/experiments?q=${encodeURIComponent(nameParts.slice(0, -1).join('/'))}`)}>{nameParts.slice(0, -1).join(' / ')} / </a>{nameParts.at(-1)}</> : ids.length > 1 ? `${ids.length} experiments` : name || '…'}</h1>
						<div class="sub">
							<span>{total === undefined || !source.counted.value ? '' : `${plural(total, hasFamilies ? 'top run' : deleted ? 'deleted run' : 'run')}${hasFamilies ? `, ${count(nested)} nested` : ''}`}</span>
							{running > 0 && !deleted && <span class="live" data-state="live">{running} running, updating</span>}
							{!narrow && !onlyCharts && group.value.length === 0 && sort.value !== NEWEST && <span class="clip sorted">sorted by {specOf(sortId).title} {down ? '▼' : '▲'}</span>}
							{deleted && <button type="button" class="btn small" onClick={() => setQuery({ life: null }, true)}>Show active runs</button>}
							{single && <span class="copyline hide-narrow artifact-location"><span>Artifact Location</span><CopyLine text={single.artifact_location} label="artifact location" /></span>}
							{ids.length > 1 && <span class="clip" title={name}>{name}</span>}
						</div>
					</div>
					<Menu label={view ? <>View: <span class="clip">{view.name}</span>{edited && <span class="muted">edited</span>}</> : 'Views'} panelName="Saved views" right={narrow ? false : true} panel>
						{(close) => (
							<div class="views stack pad">
								{views.data?.length ? views.data.map((x) => (
									<div class="row" key={x.view_id}><button type="button" class="btn small quiet" onClick={() => { close(); openView(x); }}>{x.name}</button>
										<button type="button" class="copy" aria-label={`Delete view ${x.name}`} onClick={() => send('DELETE', 'tallyd/views', { view_id: x.view_id }).then(views.reload, complain)}><Icon name="cross" /></button></div>
								)) : <p class="muted">No saved views in this experiment.</p>}
								<button type="button" class="btn small" onClick={() => { close(); saveView(); }}>Save this view…</button>
							</div>
						)}
					</Menu>
					<button type="button" class="btn hide-narrow" onClick={async () => { if (await copy(location.href)) say('Link copied: it opens just this view'); }}>Share link</button>
					<Menu label="More" right>
						{(close) => (
							<>
								{single && <button type="button" onClick={() => { close(); setAbout(true); }}>Details, tags and description</button>}
								<button type="button" onClick={() => { close(); void downloadCsv({ ...question, filter: q.value }, shownColumns, selection.value, name || 'runs'); }}><Icon name="download" />Download CSV{selection.value.size ? ` of ${selection.value.size} selected` : ''}</button>
								<button type="button" onClick={() => { close(); setQuery({ life: deleted ? null : 'deleted' }, true); }}>{deleted ? 'Show active runs' : 'Show deleted runs'}</button>
								{(families.data?.size ?? 0) > 0 && !q.value && <button type="button" onClick={() => { close(); setQuery({ nest: nest ? '0' : null }); }}>{nest ? 'Show child runs in one list' : 'Show child runs under their parents'}</button>}
								{single && <><hr /><button type="button" onClick={() => { close(); ask({ title: 'Rename the experiment', fields: [{ name: 'name', label: 'Name', value: single.name, required: true }], action: 'Rename', run: async (x) => { await experimentRename(single.experiment_id, (x['name'] ?? '').trim()); experiments.reload(); } }); }}>Rename…</button>
									<button type="button" class="danger" onClick={() => { close(); ask({ title: 'Delete the experiment', text: 'It moves to the deleted experiments with its runs and can be restored.', action: 'Delete', danger: true, run: async () => { await experimentDelete(single.experiment_id); say('Deleted'); go('/experiments'); } }); }}>Delete experiment…</button></>}
							</>
						)}
					</Menu>
					<button type="button" class="btn primary hide-narrow" disabled={selection.value.size < 2} onClick={() => void compare()}>Compare{selection.value.size ? ` ${count(selection.value.size)}` : ''}</button>
				</div>
				<div class="r-line">
					<QueryBox value={q.value} experimentIds={ids} error={filterError} onApply={(text) => { q.value = text; }} />
					<Menu label={<>Columns <span class="muted hide-narrow">{shownColumns.length}{keys.data ? ` of ${count(keys.data[0].total + keys.data[1].total + PLAIN.length)}${keys.data[0].more || keys.data[1].more ? '+' : ''}` : ''}</span></>} panelName="Columns" panel right={!narrow}>
						{() => <Chooser experimentIds={ids} shown={chosen} onShow={showColumns} onReset={() => setQuery({ cols: null, pin: null })} />}
					</Menu>
					<Menu label={group.value.length ? <>Group <span class="muted">{group.value.map((g) => split(g)[1]).join(', ')}</span></> : 'Group'} class={`btn${group.value.length ? ' on' : ''}`} panelName="Group runs" panel right={!narrow}>
						{() => (
							<div class="chooser">
								<p class="muted">Runs with the same value in one line.</p>
								{(keys.data?.[1].keys ?? []).map((k) => <label class="line" key={k}><input type="checkbox" checked={group.value.includes(`params.${k}`)} onChange={(e) => { group.value = e.currentTarget.checked ? [...group.value, `params.${k}`] : group.value.filter((g) => g !== `params.${k}`); }} />{k}</label>)}
								<GroupTags ids={ids} chosen={group.value} onChoose={(list) => { group.value = list; }} />
							</div>
						)}
					</Menu>
					<button type="button" class="btn" aria-pressed={diff.value === '1'} title="Hides columns with one value in all loaded runs" onClick={() => { diff.value = diff.value === '1' ? '' : '1'; }}>{narrow ? 'Differences' : 'Only differences'}</button>
					{narrow
						? <div class="seg" role="group" aria-label="View"><button type="button" class="btn" aria-pressed={!charts} onClick={() => setQuery({ charts: null })}>Runs</button><button type="button" class="btn" aria-pressed={charts} onClick={() => setQuery({ charts: '1' })}>Charts</button></div>
						: !onlyCharts && <button type="button" class="btn" aria-pressed={charts} onClick={() => setQuery({ charts: charts ? '0' : innerWidth < 1000 ? '1' : null })}>Charts</button>}
				</div>
			</div>
			<div class="r-body">
				{!(narrow && charts) && !onlyCharts && (
					<div class="r-table">
						{group.value.length > 0 ? <Groups question={{ ...question, filter: q.value }} by={group.value} metrics={metricKeys.slice(0, 12)} turn={turn} onOpen={(clause) => setQuery({ group: null, q: andAlso(q.value, clause) }, true)} />
							: source.error.value && !filterError ? <div class="page"><Failure error={source.error.value} retry={() => { source.error.value = undefined; source.reset(); }} /></div>
								: filterError && total === undefined ? <Empty title="The filter was not understood"><p>{filterError}</p><p><button type="button" class="btn small" onClick={() => { q.value = ''; }}>Clear the filter</button></p></Empty>
								: empty ? <FirstRun name={name} />
									: total === 0 ? <Empty title={deleted ? 'No deleted runs' : 'No run fits the filter'}><p>{q.value ? <>Nothing matches <code>{q.value}</code>. <button type="button" class="btn small" onClick={() => { q.value = ''; }}>Clear the filter</button></> : <button type="button" class="btn small" onClick={() => setQuery({ life: null })}>Show active runs</button>}</p></Empty>
										: <>
											{source.waiting.value > 0 && <button type="button" class="btn primary small r-new" onClick={() => { scrollTo.value = -1; scrollTo.value = 0; source.reset(); }}>{plural(source.waiting.value, 'new run')}</button>}
											{narrow && (
												<div class="c-top">
													<Menu class="btn small quiet" label={<>Sorted by <b>{specOf(sortId).title}</b> {down ? '▼' : '▲'}</>}>
														{(close) => ['attributes.start_time', RUN_NAME.id, ...shownColumns.filter((id) => specOf(id).order && id !== 'attributes.start_time').slice(0, SORTS)].map((id) => <button type="button" key={id} aria-current={id === sortId} onClick={() => { close(); toggleSort(id); }}>{specOf(id).title}{id === sortId ? (down ? ' ▼' : ' ▲') : ''}</button>)}
													</Menu>
													<span class="grow" />{cardMetrics.map((id) => <span class="num clip" key={id} title={split(id)[1]}>{split(id)[1]}</span>)}
												</div>
											)}
											<Grid<RunRow> label={`Runs of ${name}`} columns={columns} count={lines} row={(i) => lineAt(i)?.row} rowKey={(r) => r.info.run_id} rowHeight={30} card={card}
												rowClass={(r) => (selection.value.has(r.info.run_id) ? 'sel' : '')} selected={(r) => selection.value.has(r.info.run_id)} sticky={sticky} onMove={moveColumn}
												active={active} scrollTo={scrollTo} sort={{ id: sortId, down }} onSort={toggleSort} onResize={onResize} onKey={onKey} onOpen={open} columnMenu={columnMenu}
												onSeen={([a, b], seenColumns, top) => {
													atTop.current = top;
													seen.value = [a, b];
													/* a card shows a few of the columns */
													if (narrow)
														seenColumns = [...cardMetrics, ...(cardParam ? [cardParam] : [])];
													lastSeen.current = diff.value === '1' ? [...new Set([...asked(chosen).slice(0, COMPARED), ...asked(seenColumns)])] : asked(seenColumns);
													source.need(Math.max(0, a - extra), b, lastSeen.current);
												}} />
											{total === undefined && <Loading what="Loading runs" />}
										</>}
					</div>
				)}
				{charts && !empty && (
					<>
						{!narrow && !onlyCharts && <Splitter at={Number(splitAt.value)} onMove={(to) => { splitAt.value = String(to); }} />}
						<section class={`r-charts${onlyCharts ? ' only' : ''}`} aria-label="Charts" style={onlyCharts ? {} : { width: narrow ? '100%' : `${splitAt.value}%` }}>
							{keys.data && source.total.value !== undefined && <ChartsPanel experimentIds={ids} runs={drawnRows} metricKeys={metricKeys} params={keys.data[1].keys} baseline={base.value || undefined} />}
						</section>
					</>
				)}
			</div>
			{selection.value.size > 0
				? <div class="r-foot on" role="region" aria-label="Selected runs"><b>{count(selection.value.size)} selected</b>
					<button type="button" class="btn primary" disabled={selection.value.size < 2} onClick={() => void compare()}>Compare</button>
					{deleted ? <button type="button" class="btn" onClick={() => restoreRuns([...selection.value], after)}>Restore</button> : <>
						<button type="button" class="btn" onClick={() => tagRuns([...selection.value], after)}>Tag…</button>
						{selection.value.size <= PINNED && <button type="button" class="btn hide-narrow" onClick={() => pinRun([...selection.value], ![...selection.value].every((id) => tops.value.includes(id)))}>{[...selection.value].every((id) => tops.value.includes(id)) ? 'Unpin' : 'Pin to the top'}</button>}
						<button type="button" class="btn hide-narrow" onClick={() => { show.value = [...selection.value].join(','); }}>Show in charts</button>
						<button type="button" class="btn hide-narrow" onClick={() => void downloadCsv({ ...question, filter: q.value }, shownColumns, selection.value, name || 'runs')}>CSV</button>
						<button type="button" class="btn danger" onClick={() => deleteRuns([...selection.value], after)}>Delete…</button></>}
					<button type="button" class="btn quiet" onClick={() => { selection.value = new Set(); }}>Clear</button></div>
				: <div class="r-foot">{total === undefined || tableless ? <span /> : <InSight lines={lines} counted={source.counted.value} />}
					{charts && <span>{drawnIds.length} in the charts</span>}
					{diff.value === '1' && <span>{plural(constant.size, 'column')} with one value hidden, over {count(loaded.length)} loaded runs</span>}
					<span class="grow" /><span class="hints hide-narrow"><span><kbd>j</kbd> <kbd>k</kbd> move</span><span><kbd>space</kbd> select</span><span><kbd>v</kbd> show</span><span><kbd>b</kbd> baseline</span><span><kbd>?</kbd> all keys</span></span></div>}
			{about && <About id={first} onClose={() => { setAbout(false); experiments.reload(); }} />}
		</div>
	);
}

/* The rows in sight, for the line at the bottom; one page is shown at a time. */
const seen = signal<[number, number]>([0, 0]);

function InSight({ lines, counted }: { lines: number; counted: boolean }) {
	const [from, to] = seen.value;
	return <span>{lines ? `Runs ${count(Math.min(from + 1, lines))}–${count(Math.min(to, lines))} of ${counted ? count(lines) : '…'}` : 'No runs'}</span>;
}

function Check({ row, onCheck }: { row: RunRow; onCheck: (id: string, on: boolean) => void }) {
	return <input type="checkbox" tabIndex={-1} aria-label={`Select ${row.info.run_name ?? row.info.run_id}`} checked={selection.value.has(row.info.run_id)} onChange={(e) => onCheck(row.info.run_id, e.currentTarget.checked)} />;
}

function Mark({ id, name, on, base, onToggle }: { id: string; name: string; on: boolean; base: boolean; onToggle: (id: string) => void }) {
	const words = `${on ? 'Hide' : 'Show'} ${name} in the charts`;
	return (
		<button type="button" tabIndex={-1} class="r-mark" aria-pressed={on} aria-label={words} title={words} onClick={() => onToggle(id)}>
			<svg viewBox="0 0 20 10" aria-hidden="true">{on
				? <line x1="1" y1="5" x2="19" y2="5" stroke-width="3" style={{ stroke: base ? 'var(--ink)' : runColourVar(id) }} stroke-dasharray={base ? undefined : runStyle(id).dash.join(' ') || undefined} />
				: <circle cx="10" cy="5" r="3.4" fill="none" stroke="currentColor" stroke-width="1.3" />}</svg>
		</button>
	);
}

function Splitter({ at, onMove }: { at: number; onMove: (to: number) => void }) {
	const clamp = (x: number) => Math.round(Math.max(15, Math.min(80, x)));
	const drag = (event: PointerEvent) => {
		const handle = event.currentTarget as HTMLElement;
		const box = handle.parentElement!.getBoundingClientRect();
		handle.setPointerCapture(event.pointerId);
		event.preventDefault();
		const move = (e: PointerEvent) => onMove(clamp(((box.right - e.clientX) / box.width) * 100));
		handle.addEventListener('pointermove', move);
		handle.addEventListener('pointerup', () => handle.removeEventListener('pointermove', move), { once: true });
	};
	return <div class="r-split" role="separator" aria-orientation="vertical" aria-label="Width of the charts" aria-valuenow={at} aria-valuemin={15} aria-valuemax={80} tabIndex={0} onPointerDown={drag} onKeyDown={(e) => { if (e.key === 'ArrowLeft') onMove(clamp(at + 2)); if (e.key === 'ArrowRight') onMove(clamp(at - 2)); }} />;
}

function GroupTags({ ids, chosen, onChoose }: { ids: string[]; chosen: string[]; onChoose: (list: string[]) => void }) {
	const tags = useLoad((abort) => keysOf(ids, 'tags', '', 200, abort), [ids]);
	const list = (tags.data?.keys ?? []).filter((k) => !k.startsWith('mlflow.') || k === 'mlflow.user' || k === 'mlflow.source.git.commit');
	return list.length ? <section><h3>Tags</h3>{list.map((k) => <label class="line" key={k}><input type="checkbox" checked={chosen.includes(`tags.${k}`)} onChange={(e) => onChoose(e.currentTarget.checked ? [...chosen, `tags.${k}`] : chosen.filter((g) => g !== `tags.${k}`))} />{k}</label>)}</section> : null;
}

/* Every key of a kind is written as "metrics.*", with what is left out as "!metrics.x": a link holds no 12,000 names. */
function foldColumns(list: string[], whole: Record<string, string[]>): string[] {
	let out = list;
	for (const [star, every] of Object.entries(whole)) {
		const shown = new Set(out);
		const left = every.filter((id) => !shown.has(id));
		if (every.length <= FOLDED || left.length > FOLDED)
			continue;
		/* the last column out of the natural order, and all before it, are named one by one */
		const natural = new Map(every.map((id, i) => [id, i]));
		const inside = out.filter((id) => natural.has(id));
		let named = inside.length;
		for (let i = inside.length - 1; i >= 0 && (i === inside.length - 1 || natural.get(inside[i]!)! < natural.get(inside[i + 1]!)!); i--)
			named = i;
		if (named > FOLDED)
			continue;
		const rest = new Set(inside.slice(named));
		const at = out.findIndex((id) => rest.has(id));
		out = out.filter((id) => !rest.has(id));
		out.splice(Math.max(0, at), 0, star, ...left.map((id) => `!${id}`));
	}
	return out;
}

function unfoldColumns(cols: string[], whole: Record<string, string[]> | undefined): string[] {
	const out = new Set(cols.filter((id) => id !== '').flatMap((id) => (id.endsWith('.*') ? whole?.[id] ?? [] : id.startsWith('!') ? [] : [id])));
	for (const id of cols)
		if (id.startsWith('!'))
			out.delete(id.slice(1));
	return [...out];
}

function FirstRun({ name }: { name: string }) {
	return (
		<Empty title="No runs in this experiment yet">
			<p>Runs appear here by themselves as they are logged:</p>
			<Code text={`import mlflow\n\nmlflow.set_tracking_uri("${root.replace(/\/$/, '')}")\nmlflow.set_experiment("${name}")\n\nwith mlflow.start_run():\n    mlflow.log_param("alpha", 0.5)\n    for step in range(100):\n        mlflow.log_metric("rmse", 1 / (step + 1), step=step)`} />
		</Empty>
	);
}

async function childCounts(ids: string[], deleted: boolean, abort: AbortSignal): Promise<Map<string, number>> {
	const run_view_type = deleted ? 'DELETED_ONLY' : 'ACTIVE_ONLY';
	const some = await fetchRows({ experiment_ids: ids, filter: 'tags.`mlflow.parentRunId` IS NOT NULL', order_by: [], run_view_type }, 0, 1, [], abort);
	if (!some.runs?.length)
		return new Map();
	const { groups = [] } = await post<{ groups?: RunGroup[] }>('tallyd/runs/groups', { experiment_ids: ids, filter: 'tags.`mlflow.parentRunId` IS NOT NULL', group_by: ['tags.mlflow.parentRunId'], metrics: [], run_view_type }, abort);
	return new Map(groups.flatMap((g) => (g.key['tags.mlflow.parentRunId'] ? [[g.key['tags.mlflow.parentRunId'], g.count] as [string, number]] : [])));
}

const countRunning = (ids: string[]) => countRuns({ experiment_ids: ids, filter: "attributes.status = 'RUNNING'", order_by: [], run_view_type: 'ACTIVE_ONLY' });

function useNarrow(): boolean {
	const media = useMemo(() => matchMedia('(max-width: 720px)'), []);
	const [is, set] = useState(media.matches);
	useEffect(() => {
		const change = () => set(media.matches);
		media.addEventListener('change', change);
		return () => media.removeEventListener('change', change);
	}, []);
	return is;
}
