/* Value to pixel and back: linear, log and category scales. Pure: no DOM. */

import { durationTicks, logLabels, logTicks, niceStep, niceTicks, tickLabels, timeTicks, type Tick } from './ticks';

export type ScaleKind = 'linear' | 'log' | 'category' | 'time' | 'duration';

export interface Scale {
	kind: ScaleKind;
	lo: number;
	hi: number;
	constant: boolean;
	/** Pixel of a value; NaN where the value has no place (missing, or not positive on a log scale). */
	to(v: number): number;
	from(px: number): number;
	ticks(count: number): Tick[];
}

export interface ScaleOptions {
	kind?: ScaleKind;
	/** Widen to nice ends, so that points do not sit on the frame. */
	nice?: boolean;
	pad?: number;
	categories?: string[];
}

/** A scale of [lo, hi] onto pixels [a, b]. A constant domain is drawn in the middle. */
export function scaleOf(lo: number, hi: number, a: number, b: number, options: ScaleOptions = {}): Scale {
	const kind = options.kind ?? 'linear';
	const constant = !(hi > lo);
	if (kind === 'category') return categoryScale(options.categories ?? [], a, b);
	const log = kind === 'log' && lo > 0;
	const f = log ? Math.log10 : (v: number) => v;
	const g = log ? (v: number) => Math.pow(10, v) : (v: number) => v;
	let from = f(lo),
		to = f(hi);
	if (!isFinite(from) || !isFinite(to)) {
		from = 0;
		to = 1;
	}
	if (constant) {
		const half = log ? 0.5 : Math.abs(from) > 0 ? Math.abs(from) * 0.5 : 0.5;
		from -= half;
		to += half;
	} else if (options.pad) {
		const pad = (to - from) * options.pad;
		from -= pad;
		to += pad;
	} else if (options.nice && !log) {
		const step = niceStep(to - from, 6);
		from = Math.floor(from / step + 1e-9) * step;
		to = Math.ceil(to / step - 1e-9) * step;
	}
	const k = (b - a) / (to - from);
	return {
		kind: log ? 'log' : kind === 'log' ? 'linear' : kind,
		lo: g(from),
		hi: g(to),
		constant,
		to: (v) => (!isFinite(v) || (log && v <= 0) ? NaN : a + (f(v) - from) * k),
		from: (px) => g(from + (px - a) / k),
		ticks: (count) => {
			const l = g(from),
				h = g(to);
			if (kind === 'time') return timeTicks(l, h, count);
			if (kind === 'duration') return durationTicks(l, h, count);
			if (constant) {
				const label = tickLabels([lo])[0] ?? '';
				return isFinite(lo) ? [{ value: lo, label }] : [];
			}
			const values = log ? logTicks(l, h, count) : niceTicks(l, h, count);
			const labels = log && h / l >= 10 ? logLabels(values) : tickLabels(values);
			return values.map((value, i) => ({ value, label: labels[i]! }));
		},
	};
}

function categoryScale(categories: string[], a: number, b: number): Scale {
	const n = Math.max(1, categories.length);
	const step = (b - a) / n;
	return {
		kind: 'category',
		lo: -0.5,
		hi: n - 0.5,
		constant: n === 1,
		to: (v) => (isFinite(v) ? a + (v + 0.5) * step : NaN),
		from: (px) => (px - a) / step - 0.5,
		ticks: (count) => {
			const every = Math.max(1, Math.ceil(n / Math.max(1, count)));
			return categories.map((label, value) => ({ value, label })).filter((t) => t.value % every === 0);
		},
	};
}
