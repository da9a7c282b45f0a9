/*
 * Which columns the table shows: a search over all keys on the server, because there can be twelve thousand. Lists of keys
 * are read as they are scrolled and only what is in sight is drawn.
 */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { aborted, explain } from '../api/client';
import { keysOf } from '../api/runs';
import { Failure } from '../components/bits';
import { complain } from '../components/toast';
import { count } from '../format';
import { ATTRIBUTE_COLUMNS, EXTREMES, specOf } from './runs-columns';

const LISTED = 200;
const MOST = 20_000;
const LINE = 27;
const SEEN = 9;
const KINDS = [['metrics', 'Metrics'], ['params', 'Parameters'], ['tags', 'Tags']] as const;

type Kind = (typeof KINDS)[number][0];

interface Props {
	experimentIds: string[];
	shown: string[];
	/* whole: the complete lists of keys that came up meanwhile, by "metrics.*" */
	onShow(ids: string[], whole?: Record<string, string[]>): void;
	onReset(): void;
}

export default function Chooser({ experimentIds, shown, onShow, onReset }: Props) {
	const [text, setText] = useState('');
	const [typed, setTyped] = useState('');
	useEffect(() => {
		const timer = setTimeout(() => setTyped(text), 120);
		return () => clearTimeout(timer);
	}, [text]);
	const set = new Set(shown);
	const put = (ids: string[], on: boolean) => {
		const some = new Set(ids);
		onShow(on ? [...shown, ...ids.filter((id) => !set.has(id))] : shown.filter((id) => !some.has(id)));
	};
	const all = async (kind: Kind) => {
		try {
			const ids = (await keysOf(experimentIds, kind, typed, MOST)).keys.map((k) => `${kind}.${k}`);
			onShow([...shown, ...ids.filter((id) => !set.has(id))], typed ? {} : { [`${kind}.*`]: ids });
		} catch (problem) {
			complain(problem);
		}
	};
	const low = typed.toLowerCase();
	const own = ATTRIBUTE_COLUMNS.filter((s) => s.title.toLowerCase().includes(low));
	return (
		<div class="chooser">
			<div class="row"><input class="field grow" type="search" placeholder="Search all keys" aria-label="Search columns" value={text} onInput={(e) => setText(e.currentTarget.value)} /><button type="button" class="btn small" onClick={onReset}>Reset</button></div>
			{!typed && shown.length > 0 && (
				<details><summary>Shown, in order <span class="muted">{count(shown.length)}</span></summary>
					{shown.slice(0, 100).map((id, i) => (
						<span class="row order" key={id}><span class="grow clip">{specOf(id).title}</span>
							<button type="button" class="btn small quiet" disabled={i === 0} aria-label={`Move ${specOf(id).title} left`} onClick={() => onShow(moved(shown, i, -1))}>↑</button>
							<button type="button" class="btn small quiet" disabled={i === shown.length - 1} aria-label={`Move ${specOf(id).title} right`} onClick={() => onShow(moved(shown, i, 1))}>↓</button>
						</span>
					))}
				</details>
			)}
			{own.length > 0 && <section><h3>Run</h3>{own.map((s) => <label class="line" key={s.id}><input type="checkbox" checked={set.has(s.id)} onChange={(e) => put([s.id], e.currentTarget.checked)} /><span class="clip" title={s.title}>{s.title}</span></label>)}</section>}
			{KINDS.map(([kind, title]) => <Keys key={kind} experimentIds={experimentIds} kind={kind} title={title} typed={typed} set={set} onPut={put} onAll={() => void all(kind)}
				onNone={() => onShow(shown.filter((id) => !id.startsWith(`${kind}.`) || (typed !== '' && !id.toLowerCase().includes(low))))} />)}
			<p class="muted none">No column has <b class="wrap">{typed}</b> in its name.</p>
		</div>
	);
}

interface KeysProps {
	experimentIds: string[];
	kind: Kind;
	title: string;
	typed: string;
	set: ReadonlySet<string>;
	onPut(ids: string[], on: boolean): void;
	onAll(): void;
	onNone(): void;
}

function Keys({ experimentIds, kind, title, typed, set, onPut, onAll, onNone }: KeysProps) {
	const [list, setList] = useState<{ keys: string[]; total: number; more: boolean; end: boolean; of: string }>();
	const [error, setError] = useState<unknown>();
	const [top, setTop] = useState(0);
	const box = useRef<HTMLDivElement>(null);
	const reading = useRef<AbortController>(null);
	const what = `${kind} ${experimentIds.join()} ${typed}`;
	const read = (after: string, before: string[]) => {
		reading.current?.abort();
		const abort = new AbortController();
		reading.current = abort;
		keysOf(experimentIds, kind, typed, LISTED, abort.signal, after).then(
			(a) => {
				setError(undefined);
				setList((old) => ({ keys: [...before, ...a.keys], total: after && old ? old.total : a.total, more: after && old ? old.more : a.more, end: a.keys.length < LISTED, of: what }));
			},
			(problem: unknown) => { if (!aborted(problem)) setError(problem); },
		);
		return abort;
	};
	useEffect(() => {
		const abort = read('', []);
		box.current?.scrollTo(0, 0);
		return () => abort.abort();
	}, [what]);
	const keys = (list?.keys ?? []).filter((key) => kind !== 'tags' || typed !== '' || !key.startsWith('mlflow.'));
	const first = Math.max(0, Math.floor(top / LINE) - 3);
	const last = Math.min(keys.length, first + SEEN + 6);
	/* the next part is read before the end comes into sight */
	useLayoutEffect(() => {
		if (list && !list.end && list.of === what && last + 40 > keys.length)
			read(list.keys.at(-1) ?? '', list.keys);
	}, [last, list]);
	if (error)
		return <Failure error={new Error(explain(error))} retry={() => read('', [])} />;
	if (!list || list.total === 0 || keys.length === 0)
		return null;
	return (
		<section>
			<h3 class="row"><span class="grow">{title} <span class="muted">{list.more ? `${count(list.total - 1)}+` : count(list.total)}</span></span>
				<button type="button" class="btn small quiet" onClick={onAll}>Show all{typed ? ' found' : ''}</button>
				<button type="button" class="btn small quiet" onClick={onNone}>None</button></h3>
			<div class="keys" ref={box} style={{ height: `${Math.min(keys.length, SEEN) * LINE}px` }} onScroll={(e) => setTop(e.currentTarget.scrollTop)}>
				<div class="keys-all" style={{ height: `${keys.length * LINE}px` }}>
					{keys.slice(first, last).map((key, i) => {
						const id = `${kind}.${key}`;
						return (
							<span class="key-line" key={key} style={{ top: `${(first + i) * LINE}px` }}>
								<label class="line"><input type="checkbox" checked={set.has(id)} onChange={(e) => onPut([id], e.currentTarget.checked)} /><span class="clip" title={key}>{key}</span></label>
								{kind === 'metrics' && EXTREMES.map((end) => <button type="button" class="end" key={end} aria-pressed={set.has(`${end}.${key}`)} aria-label={`${key}, ${end} of its history`} title={`${end} over the history`} onClick={() => onPut([`${end}.${key}`], !set.has(`${end}.${key}`))}>{end}</button>)}
							</span>
						);
					})}
				</div>
			</div>
		</section>
	);
}

function moved(list: string[], i: number, by: number): string[] {
	const next = [...list];
	const [one] = next.splice(i, 1);
	next.splice(i + by, 0, one!);
	return next;
}
