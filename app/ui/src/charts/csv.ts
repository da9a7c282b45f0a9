/* CSV in and out. Pure: no DOM. */

export interface Sheet {
	rows: string[][];
	/** False when reading stopped at the limit, or at a text cut in the middle. */
	complete: boolean;
}

/** Comma, tab, semicolon or bar: whichever the first lines use most evenly. */
export function delimiterOf(text: string): string {
	const lines = text
		.slice(0, 4000)
		.split(/\r?\n/)
		.slice(0, 5)
		.filter((l) => l);
	let best = ',',
		score = 0;
	for (const d of [',', '\t', ';', '|']) {
		const counts = lines.map((l) => l.split(d).length - 1);
		const least = Math.min(...counts);
		if (least > score) {
			score = least;
			best = d;
		}
	}
	return best;
}

/** RFC 4180 rows; quotes may hold line ends. */
export function readCSV(text: string, limit = Infinity, delimiter = delimiterOf(text)): Sheet {
	const rows: string[][] = [];
	const n = text.length;
	let row: string[] = [];
	let i = text.charCodeAt(0) === 0xfeff ? 1 : 0;
	while (i < n) {
		if (rows.length >= limit) return { rows, complete: false };
		let cell = '';
		if (text[i] === '"') {
			i++;
			for (;;) {
				const q = text.indexOf('"', i);
				if (q < 0) {
					cell += text.slice(i);
					i = n;
					break;
				}
				cell += text.slice(i, q);
				i = q + 1;
				if (text[i] !== '"') break;
				cell += '"';
				i++;
			}
		}
		let end = i;
		while (end < n && text[end] !== delimiter && text[end] !== '\n') end++;
		cell += text.slice(i, end).replace(/\r$/, '');
		row.push(cell);
		if (end >= n || text[end] === '\n') {
			if (row.length > 1 || row[0] !== '') rows.push(row);
			row = [];
		} else if (end === n - 1) row.push('');
		i = end + 1;
	}
	if (row.length) rows.push(row);
	return { rows, complete: true };
}

export function writeCSV(rows: (string | number | null | undefined)[][]): string {
	return rows.map((r) => r.map(quote).join(',')).join('\r\n') + '\r\n';
}

/* A cell that a spreadsheet would take for a formula gets an apostrophe: run names come from strangers. */
function quote(v: string | number | null | undefined): string {
	if (v === null || v === undefined) return '';
	let s = String(v);
	if (typeof v === 'string' && /^[=+@\t\r-]/.test(s) && !/^[+-]?[\d.]+(e[+-]?\d+)?$/i.test(s)) s = "'" + s;
	return /[",\r\n]/.test(s) ? '"' + s.replace(/"/g, '""') + '"' : s;
}
