/* What a viewer has worked out of a file's bytes: in a worker when the file is large, so that the page stays quick. */
import type csv from './csv';
import type numpy from './numpy';
import type parquet from './parquet';
import type tiff from './tiff';

interface Tasks {
	csv: typeof csv;
	numpy: typeof numpy;
	parquet: typeof parquet;
	tiff: typeof tiff;
}

export type TaskName = keyof Tasks;
type In<K extends TaskName> = Parameters<Tasks[K]>[0];
type Out<K extends TaskName> = Awaited<ReturnType<Tasks[K]>>;

/* smaller files are done with before a worker has started */
const LARGE = 1_000_000;

export function load(name: TaskName): Promise<{ default: (input: never) => unknown }> {
	switch (name) {
	case 'csv': return import('./csv');
	case 'numpy': return import('./numpy');
	case 'parquet': return import('./parquet');
	case 'tiff': return import('./tiff');
	}
}

export async function work<K extends TaskName>(name: K, input: In<K>, size: number, abort: AbortSignal): Promise<Out<K>> {
	if (size < LARGE || typeof Worker === 'undefined')
		return (await load(name)).default(input as never) as Out<K>;
	const worker = new Worker(new URL('./task.worker.ts', import.meta.url), { type: 'module', name: 'tallyd-task' });
	try {
		return await new Promise<Out<K>>((done, fail) => {
			abort.addEventListener('abort', () => fail(new DOMException('Given up', 'AbortError')));
			worker.onerror = () => fail(new Error('The file could not be worked on.'));
			worker.onmessage = (event: MessageEvent<{ value?: Out<K>; error?: string }>) => (event.data.error === undefined ? done(event.data.value as Out<K>) : fail(new Error(event.data.error)));
			worker.postMessage({ name, input });
		});
	} finally {
		worker.terminate();
	}
}
