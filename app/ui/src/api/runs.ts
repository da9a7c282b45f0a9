/* The runs of one filter and order, read in pages of rows and only the columns in sight; kept as the answers come. */
import { signal } from '@preact/signals';
import { aborted, AGAIN_MS, aheadPost, get, passing, post } from './client';
import type { KeyValue, Run, RunRow, RunsTable } from './types';

export interface Question {
	experiment_ids: string[];
	filter: string;
	order_by: string[];
	run_view_type: 'ACTIVE_ONLY' | 'DELETED_ONLY' | 'ALL';
}

interface Page {
	rows: RunRow[];
	have: Set<string>;
	/* continues after the last row; none on the last page */
	next: string | undefined;
}

const PAGE = 100;
const SETTLE_MS = 80;
/* Counting again may take a twentieth of the server's time at most. */
const COUNT_SHARE = 20;

/* Rows from a place: an offset, or the token of the page before, which the server reaches without passing over the rows between. */
export const fetchRows = (q: Question, from: number | string, max_results: number, columns: readonly string[], abort?: AbortSignal) =>
	post<RunsTable>('tallyd/runs/table', rowsBody(q, from, max_results, columns), abort);

const rowsBody = (q: Question, from: number | string, max_results: number, columns: readonly string[]) =>
	({ ...q, ...(typeof from === 'number' ? { offset: from } : { page_token: from }), max_results, columns, total: false });

/* The newest runs of one filter, as the page asks for them first; begun before the page that shows them is loaded. */
export function newestAhead(experiment_ids: string[]): void {
	aheadPost('tallyd/runs/table', rowsBody({ experiment_ids, filter: '', order_by: ['attributes.start_time DESC'], run_view_type: 'ACTIVE_ONLY' }, 0, PAGE, []));
}

/* How many there are: a question of its own, because it can take longer than a page. */
export const countRuns = (q: Question, abort?: AbortSignal) =>
	post<RunsTable>('tallyd/runs/table', { ...q, order_by: [], max_results: 0 }, abort).then((a) => a.total ?? 0);

export class RunSource {
	/* how many runs there are; until they are counted, as many as are known to be there */
	readonly total = signal<number | undefined>(undefined);
	readonly counted = signal(false);
	/* goes up with every answer */
	readonly version = signal(0);
	readonly error = signal<unknown>(undefined);
	readonly waiting = signal(0);
	private pages = new Map<number, Page>();
	private abort: AbortController | undefined;
	private counting: AbortController | undefined;
	private countedAt = 0;
	private countTook = 0;
	private timer = 0;
	private wanted: { first: number; last: number; columns: string[] } = { first: 0, last: 30, columns: [] };

	constructor(readonly question: Question) {}

	at(i: number): RunRow | undefined {
		return this.pages.get(Math.floor(i / PAGE))?.rows[i % PAGE];
	}

	/* Whether this column was read for every page that is here. */
	has(column: string): boolean {
		return this.pages.size > 0 && [...this.pages.values()].every((p) => p.have.has(column));
	}

	loaded(): RunRow[] {
		return [...this.pages.keys()].sort((a, b) => a - b).flatMap((p) => this.pages.get(p)!.rows);
	}

	/* Rows first..last with these columns are in sight. Waits for the scrolling to settle; overtaken requests end. */
	need(first: number, last: number, columns: string[]): void {
		this.wanted = { first, last, columns };
		clearTimeout(this.timer);
		if (this.total.value === undefined && !this.abort)
			void this.fill();
		else
			this.timer = window.setTimeout(() => void this.fill(), SETTLE_MS);
	}

	/* Nobody asked for rows yet. */
	get idle(): boolean {
		return !this.abort;
	}

	stop(): void {
		clearTimeout(this.timer);
		this.abort?.abort();
		this.counting?.abort();
	}

	private async count(): Promise<number | undefined> {
		this.counting?.abort();
		const abort = this.counting = new AbortController();
		const began = performance.now();
		try {
			const total = await countRuns(this.question, abort.signal);
			this.countedAt = performance.now();
			this.countTook = this.countedAt - began;
			return total;
		} catch (problem) {
			if (!aborted(problem))
				this.failed(problem, () => void this.countFirst());
			return undefined;
		}
	}

	/* Rows that are here stay in sight while the server is away. */
	private failed(problem: unknown, again: () => void): void {
		if (!passing(problem) || this.pages.size === 0)
			this.error.value = problem;
		if (passing(problem)) {
			clearTimeout(this.timer);
			this.timer = window.setTimeout(again, AGAIN_MS);
		}
	}

	private async countFirst(): Promise<void> {
		const total = await this.count();
		if (total !== undefined) {
			this.total.value = total;
			this.counted.value = true;
		}
	}

	/* Where page p begins: after the page before it, when that is here. */
	private place(p: number): number | string {
		const before = this.pages.get(p - 1);
		return before?.next && before.rows.length === PAGE ? before.next : p * PAGE;
	}

	private async fill(): Promise<void> {
		const { first, last, columns } = this.wanted;
		const missing: [number, string[]][] = [];
		for (let p = Math.floor(first / PAGE); p <= Math.floor(Math.max(first, last - 1) / PAGE); p++) {
			if (this.counted.value && p > 0 && p * PAGE >= this.total.value!)
				break;
			const page = this.pages.get(p);
			const lacking = page ? columns.filter((c) => !page.have.has(c)) : columns;
			if (!page || lacking.length > 0)
				missing.push([p, lacking]);
		}
		if (missing.length === 0)
			return;
		this.abort?.abort();
		const abort = this.abort = new AbortController();
		try {
			await Promise.all(missing.map(async ([p, lacking]) => {
				const answer = await fetchRows(this.question, this.place(p), PAGE, lacking, abort.signal);
				this.put(p, answer, lacking);
			}));
		} catch (problem) {
			if (!aborted(problem))
				this.failed(problem, () => void this.fill());
		}
	}

	private put(p: number, answer: RunsTable, columns: string[]): void {
		const rows = answer.runs ?? [];
		const old = this.pages.get(p);
		const same = old && old.rows.length === rows.length && old.rows.every((r, i) => r.info.run_id === rows[i]!.info.run_id);
		const next = answer.next_page_token;
		if (same)
			this.pages.set(p, { rows: rows.map((r, i) => merged(old.rows[i]!, r)), have: new Set([...old.have, ...columns]), next });
		else
			this.pages.set(p, { rows, have: new Set(columns), next });
		this.error.value = undefined;
		if (!next && (rows.length > 0 || p === 0)) {
			this.total.value = p * PAGE + rows.length;
			this.counted.value = true;
		} else if (!this.counted.value) {
			this.total.value = Math.max(this.total.value ?? 0, (p + 2) * PAGE);
			if (!this.counting)
				void this.countFirst();
		}
		this.version.value++;
	}

	/*
	 * Something changed: reads the pages in sight again. At the top the new order is taken as it is; below it rows keep
	 * their place, take new values, and what is new waits behind a count.
	 */
	async refresh(atTop: boolean): Promise<void> {
		const { first, last, columns } = this.wanted;
		if (this.total.value === undefined)
			return;
		const from = Math.floor(first / PAGE);
		const to = Math.floor(Math.max(first, last - 1) / PAGE);
		try {
			/* a list that ends on its first page tells its length itself */
			const due = !(from === 0 && this.pages.get(0)?.next === undefined) && performance.now() - this.countedAt > this.countTook * COUNT_SHARE;
			const total = due ? await this.count() : undefined;
			const grown = total === undefined ? 0 : total - (this.total.value ?? 0);
			if (total !== undefined && (atTop || grown <= 0)) {
				this.total.value = total;
				this.counted.value = true;
			}
			for (let p = from; p <= to; p++) {
				const answer = await fetchRows(this.question, p * PAGE, PAGE, columns);
				if (atTop || grown <= 0) {
					if (atTop && p === from) {
						for (const other of [...this.pages.keys()])
							if (other < from || other > to)
								this.pages.delete(other);
					}
					this.put(p, answer, columns);
					this.waiting.value = 0;
				} else {
					const fresh = new Map(answer.runs.map((r) => [r.info.run_id, r]));
					const page = this.pages.get(p);
					if (page)
						page.rows = page.rows.map((r) => (fresh.has(r.info.run_id) ? merged(r, fresh.get(r.info.run_id)!) : r));
					this.waiting.value = Math.max(0, grown);
					this.version.value++;
				}
			}
		} catch {
			/* the live stream tells again */
		}
	}

	/* Forget everything and read anew. */
	reset(): void {
		this.pages.clear();
		this.waiting.value = 0;
		this.counting = undefined;
		this.counted.value = false;
		void this.fill();
	}
}

function merged(old: RunRow, fresh: RunRow): RunRow {
	return { ...old, ...fresh, min: { ...old.min, ...fresh.min }, max: { ...old.max, ...fresh.max }, metrics: { ...old.metrics, ...fresh.metrics }, params: { ...old.params, ...fresh.params }, tags: { ...old.tags, ...fresh.tags } };
}

/* Names that do not number things (layer/12/norm), which are what a table of very many shows first. */
export const plainKeysOf = (experiment_id: string[], kind: 'metrics' | 'params' | 'tags', max_results: number, abort?: AbortSignal) =>
	get<{ keys?: string[] }>('tallyd/keys', { experiment_id, kind, plain: 'true', max_results }, abort).then((a) => a.keys ?? []);

export const keysOf = (experiment_id: string[], kind: 'metrics' | 'params' | 'tags', q = '', max_results = 200, abort?: AbortSignal, after = '') =>
	get<{ keys?: string[]; total?: number; more?: boolean }>('tallyd/keys', { experiment_id, kind, q, max_results, after }, abort).then((a) => ({ keys: a.keys ?? [], total: a.total ?? a.keys?.length ?? 0, more: !!a.more }));

export const runGet = (run_id: string, abort?: AbortSignal) => get<{ run: Run }>('mlflow/runs/get', { run_id }, abort).then((a) => a.run);
export const runDelete = (run_id: string) => post('mlflow/runs/delete', { run_id });
export const runRestore = (run_id: string) => post('mlflow/runs/restore', { run_id });
export const runRename = (run_id: string, run_name: string) => post('mlflow/runs/update', { run_id, run_name });
export const runSetTag = (run_id: string, key: string, value: string) => post('mlflow/runs/set-tag', { run_id, key, value });
export const runDeleteTag = (run_id: string, key: string) => post('mlflow/runs/delete-tag', { run_id, key });

export function mapOf(list: readonly KeyValue[] | undefined): Record<string, string> {
	return Object.fromEntries((list ?? []).map((t) => [t.key, t.value]));
}

/* The same call for many, six at a time; says how far it is. */
export async function each<T>(items: readonly T[], run: (item: T) => Promise<unknown>, tell: (done: number) => void): Promise<void> {
	let next = 0;
	let done = 0;
	const one = async () => {
		while (next < items.length) {
			await run(items[next++]!);
			tell(++done);
		}
	};
	await Promise.all(Array.from({ length: 6 }, one));
}
