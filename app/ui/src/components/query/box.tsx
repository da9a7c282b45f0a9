/* The filter box: coloured text under a clear input, completion from the server's keys, the error at its place. */
import './query.css';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { get } from '../../api/client';
import { Icon } from '../icon';
import { ATTRIBUTES, hint, mended, pieces, quoted, STATUSES, trouble, type Hint } from './language';

interface Suggestion {
	text: string;
	what: string;
	/* how far the caret goes back after taking it */
	back?: number;
}

interface Props {
	value: string;
	experimentIds: string[];
	/* the server's word on the applied filter */
	error?: string;
	onApply(text: string): void;
}

export function QueryBox({ value, experimentIds, error, onApply }: Props) {
	const [text, setText] = useState(value);
	const [caret, setCaret] = useState(value.length);
	const [open, setOpen] = useState(false);
	const [at, setAt] = useState(-1);
	const [offers, setOffers] = useState<Suggestion[]>([]);
	const [touched, setTouched] = useState(false);
	const input = useRef<HTMLInputElement>(null);
	const ink = useRef<HTMLDivElement>(null);

	useEffect(() => { setText(value); setTouched(false); }, [value]);
	const wrong = useMemo(() => trouble(text), [text]);
	const here = useMemo(() => hint(text, caret), [text, caret]);

	useEffect(() => {
		if (!open)
			return;
		const abort = new AbortController();
		const timer = setTimeout(() => {
			suggest(here, experimentIds, abort.signal).then((list) => { setOffers(list); setAt(-1); }, () => setOffers([]));
		}, here.want === 'key' || here.want === 'name' ? 90 : 0);
		return () => {
			clearTimeout(timer);
			abort.abort();
		};
	}, [open, here.want, here.typed, here.entity, here.key, here.from]);

	const take = (s: Suggestion) => {
		const next = text.slice(0, here.from) + s.text + text.slice(caret);
		const place = here.from + s.text.length - (s.back ?? 0);
		setText(next);
		setCaret(place);
		setTouched(true);
		requestAnimationFrame(() => {
			input.current?.focus();
			input.current?.setSelectionRange(place, place);
		});
	};
	const apply = () => {
		setOpen(false);
		setTouched(false);
		if (trouble(text))
			return;
		const whole = mended(text.trim());
		setText(whole);
		onApply(whole);
	};
	const keys = (event: KeyboardEvent) => {
		if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
			event.preventDefault();
			if (!open)
				setOpen(true);
			else if (offers.length)
				setAt((at + (event.key === 'ArrowDown' ? 1 : -1) + offers.length + (at < 0 && event.key === 'ArrowUp' ? 1 : 0)) % offers.length);
		} else if ((event.key === 'Enter' || event.key === 'Tab') && open && offers[at]) {
			event.preventDefault();
			take(offers[at]!);
		} else if (event.key === 'Enter') {
			apply();
		} else if (event.key === 'Escape') {
			event.stopPropagation();
			if (open)
				setOpen(false);
			else
				input.current?.blur();
		}
	};
	const showing = open && offers.length > 0;
	const shownError = !open || !showing ? (wrong && !open ? wrong.message : !touched && !wrong ? error : undefined) : undefined;
	const wrongAt = wrong && (!open || wrong.at < text.trimEnd().length) ? wrong.at : null;

	return (
		<div class="query">
			<div class={`box${shownError ? ' bad' : ''}`}>
				<div class="ink" ref={ink} aria-hidden="true">{paint(text, wrongAt)}</div>
				<input
					ref={input} value={text} placeholder={'metrics.rmse < 1 and params.alpha = "0.5"'} aria-label="Filter runs" spellcheck={false} autocomplete="off"
					role="combobox" aria-expanded={showing} aria-controls="query-offers" aria-autocomplete="list" aria-invalid={!!shownError} aria-describedby={shownError ? 'query-error' : undefined}
					aria-activedescendant={showing && at >= 0 ? `offer-${at}` : undefined} data-filter
					onInput={(e) => { setText(e.currentTarget.value); setCaret(e.currentTarget.selectionStart ?? 0); setOpen(true); setTouched(true); }}
					onFocus={() => setOpen(true)} onBlur={() => { setOpen(false); if (touched && !trouble(text)) apply(); }} onKeyDown={keys}
					onKeyUp={(e) => setCaret(e.currentTarget.selectionStart ?? 0)} onClick={(e) => setCaret(e.currentTarget.selectionStart ?? 0)}
					onScroll={(e) => { if (ink.current) ink.current.scrollLeft = e.currentTarget.scrollLeft; }}
				/>
				{text && <button type="button" class="copy clear" aria-label="Clear the filter" onClick={() => { setText(''); onApply(''); }}><Icon name="cross" /></button>}
			</div>
			{showing && (
				<ul id="query-offers" role="listbox" aria-label="Suggestions">
					{offers.map((o, i) => <li key={o.text} id={`offer-${i}`} role="option" aria-selected={i === at} onMouseDown={(e) => { e.preventDefault(); take(o); }}><span class="mono clip">{o.text.trim() || o.text}</span><span class="muted">{o.what}</span></li>)}
				</ul>
			)}
			{shownError && <div class="why"><p class="notice bad small" id="query-error" role="alert">{wrong ? `${wrong.message} (character ${wrong.at + 1})` : shownError}</p></div>}
		</div>
	);
}

function paint(text: string, wrongAt: number | null) {
	const out = [];
	let done = 0;
	for (const p of pieces(text)) {
		if (p.start > done)
			out.push(text.slice(done, p.start));
		out.push(<span class={`${p.kind}${wrongAt !== null && p.start === wrongAt ? ' wrong' : ''}`}>{p.text}</span>);
		done = p.end;
	}
	out.push(text.slice(done));
	if (wrongAt !== null && wrongAt >= text.trimEnd().length && text)
		out.push(<span class="wrong">{'  '}</span>);
	return out;
}

async function suggest(here: Hint, experimentIds: string[], abort: AbortSignal): Promise<Suggestion[]> {
	const typed = here.typed.toLowerCase();
	const fits = (s: string) => s.toLowerCase().includes(typed);
	const keysOf = async (kind: string, count: number) => (await get<{ keys: string[] }>('tallyd/keys', { experiment_id: experimentIds, kind, q: here.typed, max_results: count }, abort)).keys ?? [];
	switch (here.want) {
	case 'key':
		if (here.entity === 'attributes')
			return ATTRIBUTES.filter(fits).map((a) => ({ text: `${a} `, what: 'attribute' }));
		if (here.entity === 'datasets')
			return ['name', 'digest', 'context'].filter(fits).map((a) => ({ text: `${a} `, what: 'dataset' }));
		return here.entity ? (await keysOf(here.entity, 30)).map((k) => ({ text: `${quoted(k)} `, what: here.entity! })) : [];
	case 'name': {
		const plain: Suggestion[] = ['metrics.', 'params.', 'tags.', 'attributes.', 'datasets.'].filter(fits).map((e) => ({ text: e, what: 'kind' }));
		if (!typed)
			plain.push(...ATTRIBUTES.slice(0, 3).map((a) => ({ text: `${a} `, what: 'attribute' })));
		const [metrics, params] = await Promise.all([keysOf('metrics', 8), keysOf('params', 8)]);
		return [...metrics.map((k) => ({ text: `metrics.${quoted(k)} `, what: 'metric' })), ...params.map((k) => ({ text: `params.${quoted(k)} `, what: 'param' })), ...ATTRIBUTES.filter((a) => typed && fits(a)).map((a) => ({ text: `${a} `, what: 'attribute' })), ...plain];
	}
	case 'operator': {
		const numbers = here.entity === 'metrics' || /_time$/.test(here.key ?? '');
		return (numbers ? ['< ', '> ', '<= ', '>= ', '= ', '!= '] : ['= ', '!= ', 'LIKE ', 'ILIKE ', ...(here.entity === 'attributes' || here.entity === 'datasets' ? ['IN '] : ['IS NULL ', 'IS NOT NULL '])]).map((text) => ({ text, what: 'compare' }));
	}
	case 'value':
		if (here.key === 'status')
			return STATUSES.filter(fits).map((s) => ({ text: `'${s}' `, what: 'status' }));
		return here.typed || here.entity === 'metrics' || /_time$/.test(here.key ?? '') ? [] : [{ text: "''", what: 'text', back: 1 }];
	case 'join':
		return ['and ', 'or '].filter((w) => w.startsWith(typed)).map((text) => ({ text, what: 'join' }));
	}
}
