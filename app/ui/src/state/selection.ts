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
	const { view } = await post<{ view: View }>('tallyd/views', { experiment_id, name: `.selection ${Date.now()}`, query: ids.join(',') });
	return `sel.${view.view_id}`;
}

export async function selectionOf(experiment_id: string, text: string): Promise<string[]> {
	if (!text.startsWith('sel.'))
		return text.split(',').filter(Boolean);
	const { views = [] } = await get<{ views?: View[] }>('tallyd/views', { experiment_id });
	return views.find((v) => v.view_id === text.slice(4))?.query.split(',').filter(Boolean) ?? [];
}
