/* Which columns the table shows: a search over all keys on the server, because there can be twelve thousand. */
import { useEffect, useState } from 'preact/hooks';
import { keysOf } from '../api/runs';
import { Failure } from '../components/bits';
import { useLoad } from '../components/load';
import { count } from '../format';
import { ATTRIBUTE_COLUMNS, specOf } from './runs-columns';

const LISTED = 200;
const MOST = 20_000;
const KINDS = [['metrics', 'Metrics'], ['params', 'Parameters'], ['tags', 'Tags']] as const;

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
	const keys = useLoad((abort) => Promise.all(KINDS.map(([kind]) => keysOf(experimentIds, kind, typed, LISTED, abort))), [experimentIds, typed]);
	const set = new Set(shown);
	const put = (ids: string[], on: boolean) => {
		const some = new Set(ids);
		onShow(on ? [...shown, ...ids.filter((id) => !set.has(id))] : shown.filter((id) => !some.has(id)));
	};
	const all = async (kind: 'metrics' | 'params' | 'tags') => {
		const ids = (await keysOf(experimentIds, kind, typed, MOST)).keys.map((k) => `${kind}.${k}`);
		onShow([...shown, ...ids.filter((id) => !set.has(id))], typed ? {} : { [`${kind}.*`]: ids });
	};
	const line = (id: string, title: string) => <label class="line" key={id}><input type="checkbox" checked={set.has(id)} onChange={(e) => put([id], e.currentTarget.checked)} /><span class="clip" title={title}>{title}</span></label>;
	const low = typed.toLowerCase();
	return (
		<div class="chooser">
			<div class="row"><input class="field grow" type="search" placeholder="Search all keys" aria-label="Search columns" value={text} onInput={(e) => setText(e.currentTarget.value)} /><button type="button" class="btn small" onClick={onReset}>Reset</button></div>
			{keys.error ? <Failure error={keys.error} retry={keys.reload} /> : null}
			{!typed && shown.length > 0 && (
				<details><summary>Shown, in order <span class="muted">{shown.length}</span></summary>
					{shown.slice(0, 100).map((id, i) => (
						<span class="row order" key={id}><span class="grow clip">{specOf(id).title}</span>
							<button type="button" class="btn small quiet" disabled={i === 0} aria-label={`Move ${specOf(id).title} left`} onClick={() => onShow(moved(shown, i, -1))}>↑</button>
							<button type="button" class="btn small quiet" disabled={i === shown.length - 1} aria-label={`Move ${specOf(id).title} right`} onClick={() => onShow(moved(shown, i, 1))}>↓</button>
						</span>
					))}
				</details>
			)}
			<section><h3>Run</h3>{ATTRIBUTE_COLUMNS.filter((s) => s.title.toLowerCase().includes(low)).map((s) => line(s.id, s.title))}</section>
			{KINDS.map(([kind, title], k) => {
				const found = keys.data?.[k];
				if (!found || found.keys.length === 0)
					return null;
				const list = kind === 'tags' ? found.keys.filter((key) => typed || !key.startsWith('mlflow.')) : found.keys;
				return list.length > 0 && (
					<section key={kind}>
						<h3 class="row"><span class="grow">{title} <span class="muted">{count(found.total)}</span></span>
							<button type="button" class="btn small quiet" onClick={() => all(kind)}>Show all{typed ? ' found' : ''}</button>
							<button type="button" class="btn small quiet" onClick={() => onShow(shown.filter((id) => !id.startsWith(`${kind}.`) || (typed !== '' && !id.toLowerCase().includes(low))))}>None</button></h3>
						{list.map((key) => line(`${kind}.${key}`, key))}
						{found.total > found.keys.length && <p class="muted small">{count(found.total - found.keys.length)} more: search to see them</p>}
					</section>
				);
			})}
		</div>
	);
}

function moved(list: string[], i: number, by: number): string[] {
	const next = [...list];
	const [one] = next.splice(i, 1);
	next.splice(i + by, 0, one!);
	return next;
}
