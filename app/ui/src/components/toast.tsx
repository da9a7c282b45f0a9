/* Short words on what happened, bottom right. Errors stay until they are closed. */
import { signal } from '@preact/signals';
import { explain } from '../api/client';
import { Icon } from './icon';

interface Toast {
	id: number;
	text: string;
	bad: boolean;
}

const STAY_MS = 5000;
const toasts = signal<Toast[]>([]);
let next = 1;

function drop(id: number): void {
	toasts.value = toasts.value.filter((t) => t.id !== id);
}

export function say(text: string, bad = false): void {
	const id = next++;
	toasts.value = [...toasts.value.slice(-3), { id, text, bad }];
	if (!bad)
		setTimeout(() => drop(id), STAY_MS);
}

export function complain(error: unknown): void {
	say(explain(error), true);
}

/* A line that is rewritten while something long goes on. */
export function progress(text: string): { update(text: string): void; done(text: string): void } {
	const id = next++;
	const put = (words: string) => { toasts.value = [...toasts.value.filter((t) => t.id !== id), { id, text: words, bad: false }]; };
	put(text);
	return {
		update: put,
		done(words) {
			put(words);
			setTimeout(() => drop(id), STAY_MS);
		},
	};
}

export function Toasts() {
	return (
		<div class="toasts" role="status" aria-live="polite">
			{toasts.value.map((t) => (
				<div class={`toast${t.bad ? ' bad' : ''}`} key={t.id}>
					<span class="grow">{t.text}</span>
					<button class="copy" aria-label="Close" onClick={() => drop(t.id)}><Icon name="cross" /></button>
				</div>
			))}
		</div>
	);
}
