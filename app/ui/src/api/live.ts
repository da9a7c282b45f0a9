/*
 * Changes as they are committed. One event stream per browser: a SharedWorker owns it and hands events to every tab,
 * because a browser opens six connections to a host and a stream per tab would use them up. Where SharedWorker is
 * missing (Chrome on Android) the page asks again every five seconds.
 */
import { signal } from '@preact/signals';
import type { Change } from './types';

const POLL_MS = 5000;

/* "connecting": not asked yet; "live": the stream is up; "polling": every 5 s; "offline": reconnecting. */
export const liveState = signal<'connecting' | 'live' | 'polling' | 'offline'>('connecting');

const listeners = new Set<(change: Change) => void>();
let started = false;

/* Calls back for every change; resync means "anything may have changed". Returns what stops it. */
export function onChange(listener: (change: Change) => void): () => void {
	listeners.add(listener);
	if (!started)
		start();
	return () => listeners.delete(listener);
}

function tell(change: Change): void {
	for (const listener of [...listeners])
		listener(change);
}

function start(): void {
	started = true;
	if (typeof SharedWorker === 'undefined') {
		poll();
		return;
	}
	const worker = new SharedWorker(new URL('./live.worker.ts', import.meta.url), { type: 'module', name: 'tallyd-live' });
	worker.onerror = () => {
		if (liveState.value !== 'live')
			poll();
	};
	worker.port.onmessage = (event: MessageEvent<{ state?: 'connecting' | 'live' | 'offline'; change?: Change }>) => {
		if (event.data.state) {
			const back = liveState.value === 'offline' && event.data.state === 'live' && seen;
			seen ||= event.data.state === 'live';
			liveState.value = event.data.state;
			if (back)
				tell({ resync: true });
		}
		if (event.data.change)
			tell(event.data.change);
	};
	worker.port.start();
	addEventListener('pagehide', () => worker.port.postMessage('bye'));
	addEventListener('pageshow', (event) => {
		if (event.persisted)
			worker.port.postMessage('hello');
	});
}

let seen = false;
let polling = false;

function poll(): void {
	if (polling)
		return;
	polling = true;
	liveState.value = 'polling';
	setInterval(() => {
		if (document.visibilityState === 'visible')
			tell({ resync: true });
	}, POLL_MS);
}
