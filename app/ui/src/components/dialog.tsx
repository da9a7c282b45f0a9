/* Dialogs: the frame, and ask() for everything that needs a few fields or a yes. */
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { explain } from '../api/client';
import { Icon } from './icon';

export function Dialog({ title, onClose, wide, children, footer }: { title: string; onClose: () => void; wide?: boolean; children: ComponentChildren; footer?: ComponentChildren }) {
	const box = useRef<HTMLDialogElement>(null);
	useEffect(() => {
		const before = document.activeElement;
		box.current?.showModal();
		return () => {
			if (before instanceof HTMLElement)
				before.focus();
		};
	}, []);
	return (
		<dialog ref={box} class={`dialog${wide ? ' wide' : ''}`} aria-label={title} onClose={onClose} onMouseDown={(event) => { if (event.target === box.current) onClose(); }}>
			<header><h2 class="grow">{title}</h2><button type="button" class="copy" aria-label="Close" onClick={onClose}><Icon name="cross" /></button></header>
			<div class="body">{children}</div>
			{footer && <footer>{footer}</footer>}
		</dialog>
	);
}

export interface Field {
	name: string;
	label: string;
	value?: string;
	hint?: string;
	multiline?: boolean;
	required?: boolean;
	/* offered while typing */
	options?: string[];
	/* only these */
	choices?: string[];
}

export interface Ask {
	title: string;
	text?: ComponentChildren;
	fields?: Field[];
	action: string;
	danger?: boolean;
	run(values: Record<string, string>): Promise<void> | void;
}

const asked = signal<Ask | null>(null);

export function ask(question: Ask): void {
	asked.value = question;
}

export function AskDialog() {
	return asked.value ? <Asking key={asked.value.title} question={asked.value} /> : null;
}

function Asking({ question }: { question: Ask }) {
	const [busy, setBusy] = useState(false);
	const [error, setError] = useState('');
	const form = useRef<HTMLFormElement>(null);
	const close = () => { asked.value = null; };
	useEffect(() => {
		const first = form.current?.querySelector<HTMLInputElement>('.field, button[type=submit]');
		first?.focus();
		if (first instanceof HTMLInputElement)
			first.select();
	}, []);
	const submit = async (event: Event) => {
		event.preventDefault();
		const values = Object.fromEntries([...new FormData(form.current!)].map(([k, v]) => [k, String(v)]));
		setBusy(true);
		setError('');
		try {
			await question.run(values);
			close();
		} catch (problem) {
			setError(explain(problem));
			setBusy(false);
		}
	};
	return (
		<Dialog title={question.title} onClose={close}>
			<form ref={form} onSubmit={submit} class="stack">
				{question.text && <p>{question.text}</p>}
				{question.fields?.map((f) => (
					<label class="up" key={f.name}>{f.label}
						{f.multiline
							? <textarea class="field" name={f.name} rows={8} required={f.required}>{f.value}</textarea>
							: f.choices
								? <select class="field" name={f.name} value={f.value}>{f.choices.map((c) => <option key={c}>{c}</option>)}</select>
								: <input class="field" name={f.name} value={f.value} required={f.required} autocomplete="off" spellcheck={false} list={f.options && `options-${f.name}`} />}
						{f.options && <datalist id={`options-${f.name}`}>{f.options.map((o) => <option key={o} value={o} />)}</datalist>}
						{f.hint && <span class="muted">{f.hint}</span>}
					</label>
				))}
				{error && <p class="notice bad" role="alert">{error}</p>}
				<div class="row"><span class="grow" />
					<button type="button" class="btn" onClick={close}>Cancel</button>
					<button type="submit" class={`btn primary${question.danger ? ' danger' : ''}`} disabled={busy}>{busy ? 'Working…' : question.action}</button>
				</div>
			</form>
		</Dialog>
	);
}
