/* Find anything by name: experiments, models, runs of the experiments with the newest ones, and a run by its id. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { get } from '../api/client';
import { experimentCounts, experimentList } from '../api/experiments';
import { fetchRows } from '../api/runs';
import { num, type RegisteredModel } from '../api/types';
import { go, path } from '../state/url';
import { Dialog } from './dialog';
import { Icon, type IconName } from './icon';
import { useLoad } from './load';
import { quotedValue } from './query/language';

/* a name is looked for in experiments with so many runs together, those with the newest runs first */
const SEARCHED = 20_000;
const RUNS = 12;
const TYPED_MS = 200;
/* counting reads every run: once in a while is enough */
const COUNTED_MS = 300_000;
let counted: { at: number; counts: ReturnType<typeof experimentCounts> } | undefined;

function countedLately(): ReturnType<typeof experimentCounts> {
	if (!counted || Date.now() - counted.at > COUNTED_MS) {
		const now = counted = { at: Date.now(), counts: experimentCounts() };
		now.counts.catch(() => { counted = undefined; });
	}
	return counted.counts;
}

interface Place {
	to: string;
	name: string;
	what: string;
	icon: IconName;
}

export default function Jump({ onClose }: { onClose: () => void }) {
	const [text, setText] = useState('');
	const [at, setAt] = useState(0);
	const input = useRef<HTMLInputElement>(null);
	const list = useLoad((abort) => experimentList('ACTIVE_ONLY', abort), []);
	const models = useLoad((abort) => get<{ registered_models?: RegisteredModel[] }>('mlflow/registered-models/search', { max_results: 200 }, abort).catch(() => ({ registered_models: [] })), []);
	const [settled, setSettled] = useState('');
	useEffect(() => {
		const timer = setTimeout(() => setSettled(text.trim()), TYPED_MS);
		return () => clearTimeout(timer);
	}, [text]);
	const counts = useLoad(() => (settled.length > 1 ? countedLately() : Promise.resolve(undefined)), [settled.length > 1]);
	const searched = useMemo(() => {
		const here = /^\/experiments\/(\d+)/.exec(path.value)?.[1];
		let left = SEARCHED;
		return [...(counts.data ?? [])].filter(([, c]) => c.run_count > 0)
			.sort(([a, x], [b, y]) => Number(b === here) - Number(a === here) || num(y.last_run_time) - num(x.last_run_time))
			.filter(([, c]) => (left -= c.run_count) >= 0).map(([id]) => id);
	}, [counts.data]);
	const runs = useLoad(async (abort) => (settled.length > 1 && searched.length ? (await fetchRows({ experiment_ids: searched, filter: `attributes.run_name ILIKE ${quotedValue(`%${settled.replace(/['"]/g, '_')}%`)}`, order_by: ['attributes.start_time DESC'], run_view_type: 'ACTIVE_ONLY' }, 0, RUNS, [], abort).catch(() => ({ runs: [] }))).runs ?? [] : []), [settled, searched]);
	useEffect(() => input.current?.focus(), []);
	const places = useMemo<Place[]>(() => {
		const typed = text.trim().toLowerCase();
		const fits = (name: string) => typed.split(/\s+/).every((w) => name.toLowerCase().includes(w));
		const found: Place[] = [];
		if (/^[0-9a-f]{32}$/.test(typed))
			found.push({ to: `/runs/${typed}`, name: typed, what: 'Run', icon: 'brand' });
		for (const e of list.data ?? [])
			if (fits(e.name) || e.experiment_id === typed)
				found.push({ to: `/experiments/${e.experiment_id}/runs`, name: e.name, what: 'Experiment', icon: 'flask' });
		for (const m of models.data?.registered_models ?? [])
			if (fits(m.name))
				found.push({ to: `/models/${encodeURIComponent(m.name)}`, name: m.name, what: 'Model', icon: 'box' });
		const names = new Map((list.data ?? []).map((e) => [e.experiment_id, e.name]));
		const last = (runs.data ?? []).map<Place>((r) => ({ to: `/runs/${r.info.run_id}`, name: r.info.run_name ?? r.info.run_id, what: `Run in ${names.get(r.info.experiment_id)?.split('/').at(-1) ?? r.info.experiment_id}`, icon: 'brand' }));
		return [...found.slice(0, 40 - last.length), ...last];
	}, [text, list.data, models.data, runs.data]);
	const open = (place: Place | undefined) => {
		if (place) {
			onClose();
			go(place.to);
		}
	};
	return (
		<Dialog title="Find" onClose={onClose}>
			<input
				ref={input} class="field jump-field" value={text} placeholder="Name, or a run's id" aria-label="Find" role="combobox" aria-expanded={places.length > 0} aria-controls="places" aria-activedescendant={places.length ? `place-${at}` : undefined} autocomplete="off" spellcheck={false}
				onInput={(e) => { setText(e.currentTarget.value); setAt(0); }}
				onKeyDown={(e) => {
					if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
						e.preventDefault();
						setAt((at + (e.key === 'ArrowDown' ? 1 : -1) + places.length) % Math.max(1, places.length));
					} else if (e.key === 'Enter') {
						open(places[at]);
					}
				}}
			/>
			<ul class="places" id="places" role="listbox" aria-label="Found">
				{places.map((p, i) => <li key={p.to} id={`place-${i}`} role="option" aria-selected={i === at} onClick={() => open(p)}><Icon name={p.icon} /><span class="grow clip">{p.name}</span><span class="muted small">{p.what}</span></li>)}
			</ul>
			{!list.loading && !runs.loading && settled === text.trim() && places.length === 0 && <p class="muted">Nothing has this name.{counts.data && searched.length < [...counts.data.values()].filter((c) => c.run_count > 0).length && ' Runs of older experiments are found with the filter of their experiment.'}</p>}
		</Dialog>
	);
}
