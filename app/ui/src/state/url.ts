/*
 * The URL is the state: the path names the page, the query names the view of it, and every view is a link to send.
 * Paths here are the application's ("/experiments/1/runs"); href() puts the root in front for links.
 */
import { batch, computed, signal, type ReadonlySignal } from '@preact/signals';
import { root } from '../api/client';

const prefix = new URL(root).pathname.replace(/\/$/, '');

const here = signal(read());

/* The page's path without the root, and its query. */
export const path: ReadonlySignal<string> = computed(() => here.value.path);
export const query: ReadonlySignal<URLSearchParams> = computed(() => new URLSearchParams(here.value.search));

/* MLflow's own links (/#/experiments/1/runs/abc) become ours once, at start. */
export function fromHash(hash: string): string | null {
	const [, rest = ''] = /^#(\/.*)$/.exec(hash) ?? [];
	const [where = '', search = ''] = rest.split('?');
	const parts = where.split('/').filter(Boolean);
	if (!rest)
		return null;
	if (parts[0] === 'experiments' && parts[2] === 'runs' && parts[3]) {
		const tab = parts[4] === 'artifacts' || parts[4] === 'artifactPath' ? '/artifacts' : parts[4] === 'model-metrics' ? '/metrics' : '';
		const file = parts.slice(5).join('/');
		return `/runs/${parts[3]}${tab}${tab === '/artifacts' && file ? `?path=${encodeURIComponent(decodeURIComponent(file))}` : ''}`;
	}
	if (parts[0] === 'experiments' && parts[1])
		return `/experiments/${parts[1]}/runs`;
	if (parts[0] === 'compare-runs') {
		const asked = new URLSearchParams(search);
		const runs = list(asked.get('runs'));
		const experiments = list(asked.get('experiments'));
		return `/experiments/${experiments[0] ?? '0'}/compare?runs=${runs.join(',')}`;
	}
	if (parts[0] === 'models' && parts[2] === 'versions' && parts[3])
		return `/models/${parts[1]}/${parts[3]}`;
	if (parts[0] === 'models')
		return parts[1] ? `/models/${parts[1]}` : '/models';
	return '/experiments';
}

/* An application path as an address for <a href>. */
export function href(to: string): string {
	return prefix + to;
}

export function go(to: string, replace = false): void {
	history[replace ? 'replaceState' : 'pushState'](null, '', href(to));
	here.value = read();
	if (!replace)
		scrollTo(0, 0);
}

/* Changes parts of the query; null or '' takes a part out. Replaces the entry unless push is asked for. */
export function setQuery(changes: Record<string, string | null | undefined>, push = false): void {
	const next = new URLSearchParams(location.search);
	for (const [name, value] of Object.entries(changes)) {
		if (value === null || value === undefined || value === '')
			next.delete(name);
		else
			next.set(name, value);
	}
	const text = readable(next);
	if (`?${text}` === location.search || (!text && !location.search))
		return;
	history[push ? 'pushState' : 'replaceState'](null, '', location.pathname + (text ? `?${text}` : '') + location.hash);
	here.value = read();
}

/* One part of the query as a value to read and write. The fallback is not written to the URL. With push a change is a step to go back from. */
export function param(name: string, fallback = '', push = false): { value: string } {
	return {
		get value() {
			return query.value.get(name) ?? fallback;
		},
		set value(next: string) {
			setQuery({ [name]: next === fallback ? null : next }, push);
		},
	};
}

/* A list in one part of the query, comma-separated; a comma or percent inside an entry is percent-encoded. */
export function paramList(name: string, push = false): { value: string[] } {
	return {
		get value() {
			return unpack(query.value.get(name) ?? '');
		},
		set value(next: string[]) {
			setQuery({ [name]: pack(next) }, push);
		},
	};
}

export function pack(entries: readonly string[]): string {
	return entries.map((e) => e.replace(/[%,]/g, (c) => (c === ',' ? '%2C' : '%25'))).join(',');
}

export function unpack(text: string): string[] {
	return text ? text.split(',').map((e) => e.replace(/%2C/gi, ',').replace(/%25/g, '%')) : [];
}

/* The query as people read it: slashes, commas, quotes and colons stay as they are. */
export function readable(search: URLSearchParams): string {
	return search.toString().replace(/%2F/g, '/').replace(/%2C/g, ',').replace(/%3A/g, ':');
}

function list(json: string | null): string[] {
	try {
		const value: unknown = JSON.parse(json ?? '[]');
		return Array.isArray(value) ? value.map(String) : [];
	} catch {
		return [];
	}
}

function read(): { path: string; search: string } {
	const full = location.pathname;
	return { path: (full.startsWith(prefix) ? full.slice(prefix.length) : full) || '/', search: location.search };
}

/* Takes over clicks on links inside the application and the back button. Called once, by main. */
export function startRouting(): void {
	const old = fromHash(location.hash);
	if (old)
		history.replaceState(null, '', href(old));
	here.value = read();
	addEventListener('popstate', () => batch(() => { here.value = read(); }));
	addEventListener('hashchange', () => {
		const moved = fromHash(location.hash);
		if (moved)
			go(moved, true);
	});
	document.addEventListener('click', (event) => {
		if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey)
			return;
		const link = event.target instanceof Element ? event.target.closest('a') : null;
		if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin)
			return;
		if (!link.pathname.startsWith(`${prefix}/`) || link.dataset.server !== undefined || (link.hash && link.pathname === location.pathname))
			return;
		event.preventDefault();
		go(link.pathname.slice(prefix.length) + link.search);
	});
}
