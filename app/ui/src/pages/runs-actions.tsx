/* What is done to many runs at once: delete, restore, tag, write a CSV file. */
import { countRuns, each, fetchRows, runDelete, runRestore, runSetTag, type Question } from '../api/runs';
import type { RunRow } from '../api/types';
import { ask } from '../components/dialog';
import { complain, progress } from '../components/toast';
import { count, plural } from '../format';
import { asked, textOf } from './runs-columns';

const PART = 1000;
/* so many runs are asked for by name */
const NAMED = 1000;

async function all(ids: string[], verb: string, run: (id: string) => Promise<unknown>, after: () => void): Promise<void> {
	const line = progress(`${verb} ${plural(ids.length, 'run')}…`);
	try {
		await each(ids, run, (done) => { if (done % 10 === 0) line.update(`${verb} ${count(done)} of ${count(ids.length)}…`); });
		line.done(`${verb} ${plural(ids.length, 'run')}: done`);
	} catch (problem) {
		line.done(`${verb} stopped before the end`);
		complain(problem);
	}
	after();
}

export function deleteRuns(ids: string[], after: () => void): void {
	ask({
		title: `Delete ${plural(ids.length, 'run')}`,
		text: 'They move to the deleted runs and can be restored until tallyd gc removes them.',
		action: 'Delete', danger: true,
		run: () => { void all(ids, 'Deleting', runDelete, after); },
	});
}

export function restoreRuns(ids: string[], after: () => void): void {
	void all(ids, 'Restoring', runRestore, after);
}

export function tagRuns(ids: string[], after: () => void): void {
	ask({
		title: `Tag ${plural(ids.length, 'run')}`,
		fields: [{ name: 'key', label: 'Key', required: true }, { name: 'value', label: 'Value' }],
		action: 'Tag',
		run: (v) => { void all(ids, 'Tagging', (id) => runSetTag(id, v['key'] ?? '', v['value'] ?? ''), after); },
	});
}

/* Every run of the question with these columns, a thousand at a time. */
export async function everyRow(q: Question, columns: string[], most: number, tell?: (rows: number, total: number) => void): Promise<RunRow[]> {
	const out: RunRow[] = [];
	let total = 0;
	if (tell)
		void countRuns(q).then((n) => { total = n; }, () => undefined);
	for (let from: number | string = 0; ;) {
		const answer = await fetchRows(q, from, PART, asked(columns));
		out.push(...(answer.runs ?? []));
		tell?.(out.length, Math.max(total, out.length));
		if (!answer.next_page_token || out.length >= most)
			return out;
		from = answer.next_page_token;
	}
}

export async function downloadCsv(q: Question, columns: string[], only: ReadonlySet<string>, name: string): Promise<void> {
	const line = progress('Writing the CSV file…');
	try {
		const ids = ['attributes.run_id', 'attributes.run_name', ...columns.filter((c) => c !== 'attributes.run_id' && c !== 'attributes.run_name')];
		const some: Question = only.size > 0 && only.size <= NAMED ? { ...q, filter: `attributes.run_id IN (${[...only].map((id) => `'${id}'`).join(',')})` } : q;
		const rows = await everyRow(some, columns, Infinity, (n, total) => line.update(`Writing the CSV file: ${count(n)} of ${count(total)}`));
		const kept = only.size ? rows.filter((r) => only.has(r.info.run_id)) : rows;
		const text = [ids.map((id) => field(id.replace(/^attributes\./, ''))).join(','), ...kept.map((r) => ids.map((id) => field(textOf(r, id))).join(','))].join('\r\n');
		save(new Blob([text, '\r\n'], { type: 'text/csv' }), `${name.replace(/[^\w.-]+/g, '-')}.csv`);
		line.done(`${plural(kept.length, 'run')} written`);
	} catch (problem) {
		line.done('The CSV file was not written');
		complain(problem);
	}
}

/* A leading = + - @ would be run as a formula by a spreadsheet, unless it is a number. */
function field(text: string): string {
	const safe = /^[=+\-@\t]/.test(text) && !/^[-+]?[\d.]+(e[-+]?\d+)?$|^-Infinity$/i.test(text) ? `'${text}` : text;
	return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function save(blob: Blob, name: string): void {
	const link = document.createElement('a');
	link.href = URL.createObjectURL(blob);
	link.download = name;
	link.click();
	setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
