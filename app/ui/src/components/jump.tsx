/* Find anything by name: experiments, models, and runs by id. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { get } from '../api/client';
import { experimentList } from '../api/experiments';
import type { RegisteredModel } from '../api/types';
import { go } from '../state/url';
import { Dialog } from './dialog';
import { Icon, type IconName } from './icon';
import { useLoad } from './load';

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
	useEffect(() => input.current?.focus(), []);
	const places = useMemo<Place[]>(() => {
		const typed = text.trim().toLowerCase();
		const fits = (name: string) => typed.split(/\s+/).every((w) => name.toLowerCase().includes(w));
		const found: Place[] = [];
		if (/^[0-9a-f]{32}$/.test(typed))
			found.push({ to: `/runs/${typed}`, name: typed, what: 'Run', icon: 'run' });
		for (const e of list.data ?? [])
			if (fits(e.name) || e.experiment_id === typed)
				found.push({ to: `/experiments/${e.experiment_id}/runs`, name: e.name, what: 'Experiment', icon: 'flask' });
		for (const m of models.data?.registered_models ?? [])
			if (fits(m.name))
				found.push({ to: `/models/${encodeURIComponent(m.name)}`, name: m.name, what: 'Model', icon: 'box' });
		return found.slice(0, 40);
	}, [text, list.data, models.data]);
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
			{!list.loading && places.length === 0 && <p class="muted">Nothing has this name.</p>}
		</Dialog>
	);
}
