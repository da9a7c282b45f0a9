/*
 * A run's colour follows from its id alone, so it is the same in every table, chart and browser: 8 colours by 3 dashes.
 * Colours are the tokens --s1 .. --s8; canvas code reads them through computed style.
 */

const DASHES: readonly (readonly number[])[] = [[], [7, 4], [2, 3]];

export interface RunStyle {
	/* 1..8: the token --s<slot> */
	slot: number;
	dash: readonly number[];
}

const known = new Map<string, RunStyle>();

export function runStyle(run_id: string): RunStyle {
	let style = known.get(run_id);
	if (!style) {
		const h = hash(run_id);
		style = { slot: (h % 8) + 1, dash: DASHES[Math.floor(h / 8) % 3] ?? [] };
		known.set(run_id, style);
	}
	return style;
}

/* For style={{ color: ... }} in the document; canvases need runColour(). */
export function runColourVar(run_id: string): string {
	return `var(--s${runStyle(run_id).slot})`;
}

/* The colour in the present theme, resolved. */
export function runColour(run_id: string): string {
	return token(`--s${runStyle(run_id).slot}`);
}

export function token(name: string): string {
	return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/* FNV-1a, then mixed: ids are hexadecimal and similar in their last digits. */
function hash(text: string): number {
	let h = 0x811c9dc5;
	for (let i = 0; i < text.length; i++)
		h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
	h ^= h >>> 15;
	h = Math.imul(h, 0x2c1b3c6d);
	return (h ^ (h >>> 13)) >>> 0;
}
