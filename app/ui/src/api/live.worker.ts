/* The browser's one event stream. Runs in a SharedWorker; see live.ts. The browser reconnects an EventSource by itself
 * except after an HTTP error, which is why it is opened again here. */

interface Port {
	postMessage(data: unknown): void;
	onmessage: ((event: MessageEvent) => void) | null;
	start(): void;
}

const RETRY_MS = 2000;
const url = new URL('../ajax-api/2.0/tallyd/live', self.location.href).href;
const ports = new Set<Port>();
let source: EventSource | null = null;
let state: 'connecting' | 'live' | 'offline' = 'connecting';

function tell(data: unknown): void {
	for (const port of ports)
		port.postMessage(data);
}

function setState(next: 'connecting' | 'live' | 'offline'): void {
	state = next;
	tell({ state });
}

function open(): void {
	if (source)
		return;
	source = new EventSource(url);
	source.onopen = () => setState('live');
	source.addEventListener('change', (event) => {
		try {
			tell({ change: JSON.parse((event as MessageEvent<string>).data) as unknown });
		} catch {
			tell({ change: { resync: true } });
		}
	});
	source.onerror = () => {
		setState('offline');
		if (source?.readyState === EventSource.CLOSED) {
			source = null;
			setTimeout(() => {
				if (ports.size > 0)
					open();
			}, RETRY_MS);
		}
	};
}

function join(port: Port): void {
	ports.add(port);
	open();
	port.postMessage({ state });
}

function leave(port: Port): void {
	ports.delete(port);
	if (ports.size === 0 && source) {
		source.close();
		source = null;
		state = 'connecting';
	}
}

(self as unknown as { onconnect: (event: MessageEvent) => void }).onconnect = (event) => {
	const port = event.ports[0] as unknown as Port;
	port.onmessage = (message) => (message.data === 'bye' ? leave(port) : join(port));
	port.start();
	join(port);
};
