/*
 * Selected runs, and how a list of them is written into a link: up to forty ids as they are, more as the id of a saved
 * view (a request line has its limits), whose name starts with a dot so that no menu lists it.
 */
import { signal } from '@preact/signals';
import { get, post } from '../api/client';
import type { View } from '../api/types';

const IN_LINK = 40;

export const selection = signal<ReadonlySet<string>>(new Set());

export function select(ids: Iterable<string>, on: boolean): void {
	const next = new Set(selection.value);
	for (const id of ids) {
		if (on)
			next.add(id);
		else
			next.delete(id);
	}
	selection.value = next;
}

export async function linkOf(experiment_id: string, ids: readonly string[]): Promise<string> {
	if (ids.length <= IN_LINK)
		return ids.join(',');
	/* named by its content: the same selection is the same view, however often it is linked */
	const query = ids.join(',');
	const { view } = await post<{ view: View }>('tallyd/views', { experiment_id, name: `.selection ${digest(query)}`, query });
	return `sel.${view.view_id}`;
}

/* Two 32-bit FNV-1a sums with unlike starts: enough to tell selections apart. crypto.subtle is missing on plain http. */
function digest(text: string): string {
	const sums = [0x811c9dc5, 0x01000193];
	for (let i = 0; i < text.length; i++)
		for (let k = 0; k < 2; k++)
			sums[k] = Math.imul(sums[k]! ^ (text.charCodeAt(i) + k), 0x01000193 + 2 * k) >>> 0;
	return `${text.length}-${sums.map((s) => s.toString(16).padStart(8, '0')).join('')}`;
}

export async function selectionOf(experiment_id: string, text: string): Promise<string[]> {
	if (!text.startsWith('sel.'))
		return text.split(',').filter(Boolean);
	const { views = [] } = await get<{ views?: View[] }>('tallyd/views', { experiment_id });
	return views.find((v) => v.view_id === text.slice(4))?.query.split(',').filter(Boolean) ?? [];
}
