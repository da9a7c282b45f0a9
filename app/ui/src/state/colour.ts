/*
 * A run keeps its colour in this browser for ever: the one its id points to, unless runs seen before have it, then the
 * next free one. 8 colours in full lines come first, then the same in dashes, then in dots. Colours are the tokens
 * --s1 .. --s8; canvas code reads them through computed style.
 */
import { keep, recall } from './theme';

const DASHES: readonly (readonly number[])[] = [[], [7, 4], [2, 3]];
const COLOURS = 8;
const STYLES = COLOURS * DASHES.length;
const KEY = 'tallyd.colours';
const REMEMBERED = 400;

export interface RunStyle {
	/* 1..8: the token --s<slot> */
	slot: number;
	dash: readonly number[];
}

const known = new Map<string, number>(remembered());
const uses = new Array<number>(STYLES).fill(0);
for (const style of known.values())
	uses[style]!++;
let writing = 0;

export function runStyle(run_id: string): RunStyle {
	let style = known.get(run_id);
	if (style === undefined) {
		style = free(hash(run_id) % COLOURS);
		known.set(run_id, style);
		uses[style]!++;
		writing ||= window.setTimeout(write, 1000);
	}
	return { slot: (style % COLOURS) + 1, dash: DASHES[Math.floor(style / COLOURS)] ?? [] };
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

/* The least used style, looked for from the wanted colour on, full lines first. */
function free(wanted: number): number {
	let best = wanted;
	for (let i = 0; i < STYLES; i++) {
		const style = Math.floor(i / COLOURS) * COLOURS + ((wanted + i) % COLOURS);
		if (uses[style]! < uses[best]!)
			best = style;
	}
	return best;
}

function remembered(): [string, number][] {
	try {
		const list: unknown = JSON.parse(recall(KEY) ?? '[]');
		return Array.isArray(list) ? list.filter((e): e is [string, number] => Array.isArray(e) && typeof e[0] === 'string' && e[1] >= 0 && e[1] < STYLES) : [];
	} catch {
		return [];
	}
}

function write(): void {
	writing = 0;
	keep(KEY, JSON.stringify([...known].slice(-REMEMBERED)));
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
