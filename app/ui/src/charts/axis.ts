/* A column of run values (params are text, metrics numbers) made ready for an axis: numeric when every value
   given is a number, categories otherwise. Pure: no DOM. */

import { scaleOf, type Scale } from './scale';
import { short } from './ticks';

export type Raw = string | number | null | undefined;

export interface Column {
	name: string;
	kind: 'number' | 'category';
	raw: Raw[];
	/** The number, or the category's index; NaN where there is none to place. */
	values: number[];
	categories: string[];
	lo: number;
	hi: number;
	distinct: number;
	missing: number;
	/** NaN and infinities that were given: not the same as missing. */
	odd: number;
	positive: boolean;
}

const WORDS: Record<string, number> = {
	nan: NaN,
	inf: Infinity,
	'+inf': Infinity,
	'-inf': -Infinity,
	infinity: Infinity,
	'+infinity': Infinity,
	'-infinity': -Infinity,
};
const NUMBER = /^[+-]?(\d+(_\d+)*\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** The number a text stands for, or undefined when it is no number. "nan" and "inf" count as numbers. */
export function numberOf(raw: Raw): number | undefined {
	if (raw === null || raw === undefined) return undefined;
	if (typeof raw === 'number') return raw;
	const s = raw.trim();
	if (NUMBER.test(s)) return Number(s.replace(/_/g, ''));
	return WORDS[s.toLowerCase()];
}

const missing = (v: Raw) => v === null || v === undefined || v === '';

export function column(name: string, raw: Raw[]): Column {
	const numbers = raw.map(numberOf);
	const numeric =
		raw.some((v, i) => !missing(v) && numbers[i] !== undefined) && raw.every((v, i) => missing(v) || numbers[i] !== undefined);
	const out: Column = {
		name,
		raw,
		kind: numeric ? 'number' : 'category',
		values: [],
		categories: [],
		lo: Infinity,
		hi: -Infinity,
		distinct: 0,
		missing: 0,
		odd: 0,
		positive: true,
	};
	if (numeric) out.values = raw.map((v, i) => (missing(v) ? NaN : numbers[i]!));
	else {
		const words = [...new Set(raw.filter((v) => !missing(v)).map(String))].sort(natural);
		const index = new Map(words.map((w, i) => [w, i]));
		out.categories = words;
		out.values = raw.map((v) => (missing(v) ? NaN : index.get(String(v))!));
	}
	const seen = new Set<number>();
	out.values.forEach((v, i) => {
		if (missing(raw[i])) out.missing++;
		else if (!isFinite(v)) out.odd++;
		else {
			seen.add(v);
			if (v < out.lo) out.lo = v;
			if (v > out.hi) out.hi = v;
			if (v <= 0) out.positive = false;
		}
	});
	out.distinct = seen.size;
	return out;
}

/** "run 2" before "run 10". */
export function natural(a: string, b: string): number {
	return a.localeCompare(b, undefined, { numeric: true }) || (a < b ? -1 : a > b ? 1 : 0);
}

/** Log where all values are positive, span two decades and crowd at the low end, as learning rates do and shares do not. */
export function suitsLog(c: Column): boolean {
	if (c.kind !== 'number' || c.distinct < 2 || !c.positive || c.hi / c.lo < 100) return false;
	const sorted = c.values.filter((v) => isFinite(v)).sort((a, b) => a - b);
	return (sorted[sorted.length >> 1]! - c.lo) / (c.hi - c.lo) < 0.2;
}

export function columnScale(c: Column, a: number, b: number, options: { log?: boolean; pad?: number; nice?: boolean } = {}): Scale {
	if (c.kind === 'category') return scaleOf(0, 0, a, b, { kind: 'category', categories: c.categories });
	if (options.log && c.positive) return scaleOf(c.lo, c.hi, a, b, { kind: 'log', pad: options.pad });
	return scaleOf(c.lo, c.hi, a, b, { pad: options.pad, nice: options.nice });
}

/** What a hover says of one value. */
export function word(c: Column, i: number): string {
	const raw = c.raw[i];
	if (missing(raw)) return 'none';
	return c.kind === 'number' ? short(c.values[i]!) : String(raw);
}
