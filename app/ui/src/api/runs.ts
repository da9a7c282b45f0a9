/* The runs of one filter and order, read in pages of rows and only the columns in sight; kept as the answers come. */
import { signal } from '@preact/signals';
import { aborted, get, post } from './client';
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
}

const PAGE = 100;
const SETTLE_MS = 80;

export const fetchRows = (q: Question, offset: number, max_results: number, columns: readonly string[], abort?: AbortSignal) =>
	post<RunsTable>('tallyd/runs/table', { ...q, offset, max_results, columns }, abort);

export class RunSource {
	readonly total = signal<number | undefined>(undefined);
	/* goes up with every answer */
	readonly version = signal(0);
	readonly error = signal<unknown>(undefined);
	readonly waiting = signal(0);
	private pages = new Map<number, Page>();
	private abort: AbortController | undefined;
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

	stop(): void {
		clearTimeout(this.timer);
		this.abort?.abort();
	}

	private async fill(): Promise<void> {
		const { first, last, columns } = this.wanted;
		const missing: [number, string[]][] = [];
		for (let p = Math.floor(first / PAGE); p <= Math.floor(Math.max(first, last - 1) / PAGE); p++) {
			if (this.total.value !== undefined && p > 0 && p * PAGE >= this.total.value)
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
				const answer = await fetchRows(this.question, p * PAGE, PAGE, lacking, abort.signal);
				this.put(p, answer, lacking);
			}));
		} catch (problem) {
			if (!aborted(problem))
				this.error.value = problem;
		}
	}

	private put(p: number, answer: RunsTable, columns: string[]): void {
		const rows = answer.runs ?? [];
		const old = this.pages.get(p);
		const same = old && old.rows.length === rows.length && old.rows.every((r, i) => r.info.run_id === rows[i]!.info.run_id);
		if (same)
			this.pages.set(p, { rows: rows.map((r, i) => merged(old.rows[i]!, r)), have: new Set([...old.have, ...columns]) });
		else
			this.pages.set(p, { rows, have: new Set(columns) });
		this.error.value = undefined;
		this.total.value = answer.total ?? rows.length;
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
			for (let p = from; p <= to; p++) {
				const answer = await fetchRows(this.question, p * PAGE, PAGE, columns);
				const grown = (answer.total ?? 0) - (this.total.value ?? 0);
				if (atTop || grown === 0) {
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
		void this.fill();
	}
}

function merged(old: RunRow, fresh: RunRow): RunRow {
	return { ...old, ...fresh, metrics: { ...old.metrics, ...fresh.metrics }, params: { ...old.params, ...fresh.params }, tags: { ...old.tags, ...fresh.tags } };
}

export const keysOf = (experiment_id: string[], kind: 'metrics' | 'params' | 'tags', q = '', max_results = 200, abort?: AbortSignal) =>
	get<{ keys?: string[]; total?: number }>('tallyd/keys', { experiment_id, kind, q, max_results }, abort).then((a) => ({ keys: a.keys ?? [], total: a.total ?? a.keys?.length ?? 0 }));

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
