/* What all viewers share: fetching a file or its beginning, and the line that says how much of it is shown. */

import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { aborted, artifactUrl, explain, file } from '../api/client';
import type { ArtifactOwner } from '../api/types';
import { bytes as inBytes } from '../format';

export interface ViewerProps {
	run: ArtifactOwner;
	path: string;
	/** Bytes, when the caller knows. */
	size: number;
}

export interface Part {
	bytes: Uint8Array;
	/** Size of the whole file. */
	total: number;
	whole: boolean;
}

/** The address to show a file from: view=1 has the server answer itself, inline and under a sandboxing policy of its own, where
 *  a download may be an attachment or a redirect to a bucket that this page's policy does not let it read. */
export function viewUrl(owner: ArtifactOwner, path: string): string {
	return `${artifactUrl(owner, path)}&view=1`;
}

/** The first `max` bytes, or a range. A server that ignores Range sends all of it; then reading stops at max. */
export async function part(owner: ArtifactOwner, path: string, from: number, max: number, abort?: AbortSignal): Promise<Part> {
	const url = viewUrl(owner, path);
	let answer: Response;
	try {
		answer = await file(url, { range: [from, from + max - 1], abort });
	} catch (error) {
		/* An empty file has no first byte: 416. */
		if (from === 0 && error instanceof Error && 'status' in error && error.status === 416)
			return { bytes: new Uint8Array(0), total: 0, whole: true };
		throw error;
	}
	const range = /\/(\d+)\s*$/.exec(answer.headers.get('Content-Range') ?? '');
	if (answer.status === 206) {
		const bytes = new Uint8Array(await answer.arrayBuffer());
		const total = range ? Number(range[1]) : bytes.length < max ? from + bytes.length : NaN;
		return { bytes, total, whole: from === 0 && bytes.length >= total };
	}
	const all: Uint8Array[] = [];
	const reader = answer.body?.getReader();
	let n = 0,
		done = false;
	while (reader && n < from + max) {
		const next = await reader.read();
		if (next.done) {
			done = true;
			break;
		}
		all.push(next.value);
		n += next.value.length;
	}
	if (!done) {
		const last = await reader?.read();
		done = last?.done ?? true;
		if (!done) await reader?.cancel();
	}
	const joined = new Uint8Array(n);
	let at = 0;
	for (const piece of all) {
		joined.set(piece, at);
		at += piece.length;
	}
	const length = Number(answer.headers.get('Content-Length'));
	const total = done ? n : answer.headers.get('Content-Encoding') || !length ? NaN : length;
	return { bytes: joined.subarray(from, from + max), total, whole: done && from === 0 && n <= max };
}

/** Whose file it is: a run's, or a logged model's. */
export const keyOf = (owner: ArtifactOwner): string => `${owner.run_id} ${owner.model_id ?? ''}`;

export interface Loaded<T> {
	value?: T;
	error?: string;
}

/** Loads for one file; what a former file asked for is given up. */
export function useFile<T>(props: ViewerProps, load: (abort: AbortSignal) => Promise<T>, extra: unknown = ''): Loaded<T> {
	const key = `${keyOf(props.run)} ${props.path} ${String(extra)}`;
	const [state, setState] = useState<{ key: string } & Loaded<T>>({ key });
	useEffect(() => {
		const abort = new AbortController();
		setState({ key });
		load(abort.signal).then(
			(value) => !abort.signal.aborted && setState({ key, value }),
			(error: unknown) => !abort.signal.aborted && !aborted(error) && setState({ key, error: explain(error) }),
		);
		return () => abort.abort();
	}, [key]);
	return state.key === key ? state : {};
}

/** Waiting, or what went wrong; null when there is something to show. */
export function Status(props: { of: Loaded<unknown> }): JSX.Element | null {
	if (props.of.error)
		return (
			<p class="notice bad" role="alert">
				{props.of.error} The file can still be downloaded.
			</p>
		);
	return props.of.value === undefined ? (
		<p class="muted" role="status">
			Reading the file…
		</p>
	) : null;
}

export function sizeWord(n: number): string {
	return Number.isFinite(n) ? inBytes(n) : 'unknown size';
}

/** "First 2 MB of 6.6 MB", or nothing when all is there. */
export function Cut(props: { children: ComponentChildren }): JSX.Element {
	return <p class="view-cut">{props.children}</p>;
}

export function Bar(props: { children: ComponentChildren }): JSX.Element {
	return <div class="view-bar">{props.children}</div>;
}

export const TEXT_MAX = 2_000_000;
export const TABLE_ROWS = 1000;

export function textOf(p: Part): string {
	return new TextDecoder('utf-8').decode(p.bytes);
}

export const baseName = (path: string) => path.slice(path.lastIndexOf('/') + 1);
export const folderOf = (path: string) => (path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '');
