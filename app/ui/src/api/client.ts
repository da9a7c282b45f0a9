/*
 * The one place that fetches. Endpoints are named as in the server's table ("mlflow/runs/search", "tallyd/info") and
 * found below the path the page itself was loaded from, so that a static prefix or a reverse proxy's sub-path needs no
 * setting. Errors become ApiError with MLflow's code and message.
 */
import { signal } from '@preact/signals';
import type { ArtifactOwner } from './types';

/* The root of the application, with a trailing slash. This module is built into <root>/assets/; the policy forbids
 * <base>, and the script's own address says the same. */
export const root = new URL(import.meta.env.DEV ? '/' : '..', import.meta.env.DEV ? location.origin : import.meta.url).href;

/* Requests in flight; the shell shows a bar when it stays above zero. */
export const pending = signal(0);

export class ApiError extends Error {
	constructor(readonly code: string, message: string, readonly status: number) {
		super(message);
		this.name = 'ApiError';
	}
}

export type Params = Record<string, string | number | boolean | null | undefined | readonly (string | number)[]>;

/* The address of an endpoint, for links and for fetch. */
export function endpoint(path: string, params?: Params): string {
	return withParams(`${root}ajax-api/2.0/${path}`, params);
}

export function withParams(url: string, params?: Params): string {
	const search = new URLSearchParams();
	for (const [name, value] of Object.entries(params ?? {})) {
		if (Array.isArray(value))
			for (const one of value)
				search.append(name, String(one));
		else if (value !== null && value !== undefined && value !== '')
			search.set(name, String(value));
	}
	const text = search.toString();
	return text ? `${url}?${text}` : url;
}

/* The bytes of a run's artifact (Range is supported). */
export function artifactUrl(owner: ArtifactOwner, path: string): string {
	return owner.model_id
		? endpoint(`mlflow/logged-models/${owner.model_id}/artifacts/files`, { artifact_file_path: path })
		: withParams(`${root}get-artifact`, { run_id: owner.run_id, path });
}

/* A folder of a run's or a model's artifacts, or all of them, as a zip file. */
export function zipUrl(owner: ArtifactOwner, path: string): string {
	return endpoint('tallyd/artifacts/zip', owner.model_id ? { model_id: owner.model_id, path } : { run_id: owner.run_id, path });
}

/* Answers asked for before the page that wants them is loaded. */
const early = new Map<string, Promise<unknown>>();

export function ahead(path: string, params?: Params): void {
	keepEarly(endpoint(path, params), get<unknown>(path, params));
}

export function aheadPost(path: string, body: unknown): void {
	keepEarly(`${path} ${JSON.stringify(body)}`, post<unknown>(path, body));
}

function keepEarly(name: string, answer: Promise<unknown>): void {
	answer.catch(() => undefined);
	early.set(name, answer);
}

function begun<T>(name: string): Promise<T> | undefined {
	const answer = early.get(name);
	early.delete(name);
	return answer as Promise<T> | undefined;
}

export function get<T>(path: string, params?: Params, abort?: AbortSignal): Promise<T> {
	const url = endpoint(path, params);
	return begun<T>(url) ?? call<T>(url, { signal: abort });
}

export function post<T>(path: string, body: unknown, abort?: AbortSignal): Promise<T> {
	return (early.size > 0 && begun<T>(`${path} ${JSON.stringify(body)}`)) || send<T>('POST', path, body, abort);
}

export function send<T>(method: 'POST' | 'PATCH' | 'DELETE', path: string, body: unknown, abort?: AbortSignal): Promise<T> {
	return call<T>(endpoint(path), {
		method,
		headers: { 'Content-Type': 'application/json' },
		body: JSON.stringify(body),
		signal: abort,
	});
}

/* A file's bytes, or the part [from, to] of them (both inclusive); the caller reads the Response. */
export async function file(url: string, options: { range?: [number, number]; abort?: AbortSignal } = {}): Promise<Response> {
	const headers: Record<string, string> = options.range ? { Range: `bytes=${options.range[0]}-${options.range[1]}` } : {};
	const answer = await raw(url, { headers, signal: options.abort });
	if (!answer.ok)
		throw await failure(answer);
	return answer;
}

/* True for the error of a request that was given up on purpose. */
export function aborted(error: unknown): boolean {
	return error instanceof DOMException && error.name === 'AbortError';
}

/* True for what goes by itself: no server, or a proxy that has none. Pages ask again after a while. */
export function passing(error: unknown): boolean {
	return error instanceof ApiError && (error.status === 0 || (error.status >= 502 && error.status <= 504));
}

export const AGAIN_MS = 2000;

/* What to tell the reader. */
export function explain(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}

async function call<T>(url: string, init: RequestInit): Promise<T> {
	const answer = await raw(url, init);
	if (!answer.ok)
		throw await failure(answer);
	const text = await answer.text();
	return (text ? JSON.parse(text) : {}) as T;
}

async function raw(url: string, init: RequestInit): Promise<Response> {
	pending.value++;
	try {
		return await fetch(url, { credentials: 'same-origin', ...init });
	} catch (error) {
		if (aborted(error))
			throw error;
		throw new ApiError('UNREACHABLE', 'The server does not answer. Check that tallyd runs and the network is up.', 0);
	} finally {
		pending.value--;
	}
}

async function failure(answer: Response): Promise<ApiError> {
	let code = `HTTP_${answer.status}`;
	let message = `The server answered ${answer.status} ${answer.statusText}`.trim();
	try {
		const body = JSON.parse(await answer.text()) as { error_code?: string; message?: string };
		code = body.error_code ?? code;
		message = body.message ?? message;
	} catch {
		/* not JSON: a proxy's page, whose text helps nobody */
	}
	return new ApiError(code, message, answer.status);
}
