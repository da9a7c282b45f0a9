/* What the server sends for a curve, and what a line chart makes of it. Pure: no DOM. */

import type { Num, Series } from '../api/types';

export interface Curve {
	run_id: string;
	/** Points the run has in the window, of which `x.length` are drawn. */
	count: number;
	exact: boolean;
	x: number[];
	min: number[];
	max: number[];
	mean: number[];
	last: number[];
	n: number[];
	/** How many of a bucket's values are NaN; empty when none. */
	nan: number[];
}

/* MLflow's SQL stores keep an infinity as the greatest double. */
const HUGE = Number.MAX_VALUE;

/** "NaN", "Infinity" and "-Infinity" come as words; null as no value. */
export function value(v: Num | null | undefined): number {
	const n = v === null || v === undefined ? NaN : typeof v === 'number' ? v : Number(v);
	return n >= HUGE ? Infinity : n <= -HUGE ? -Infinity : n;
}

export function curveOf(s: Series & { nan?: number[] }, unit = 1): Curve {
	const min = (s.min ?? []).map(value),
		max = (s.max ?? []).map(value),
		last = (s.last ?? []).map(value);
	return {
		run_id: s.run_id,
		count: Number(s.count),
		exact: Boolean(s.exact),
		x: (s.x ?? []).map((x) => value(x) * unit),
		min,
		max,
		last,
		/* One infinity spoils the mean of its bucket: then a finite value of it stands in, and the mark says what was there. */
		mean: (s.mean ?? []).map((m, i) => {
			const odd = !s.exact && (!isFinite(min[i]!) || !isFinite(max[i]!));
			return odd ? ([last[i]!, min[i]!, max[i]!].find(isFinite) ?? value(m)) : value(m);
		}),
		n: s.n ?? [],
		nan: s.nan ?? [],
	};
}

/** Exponential smoothing without the pull to zero at the start; NaN and infinities are passed over and stay gaps. */
export function smooth(values: number[], weight: number): number[] {
	if (!(weight > 0)) return values;
	let level = 0,
		mass = 0;
	return values.map((v) => {
		if (!isFinite(v)) return v;
		level = level * weight + (1 - weight) * v;
		mass = mass * weight + (1 - weight);
		return level / mass;
	});
}

/** Index of the point nearest to x, or -1 when x is outside the curve. */
export function nearest(xs: number[], x: number, slack = 0): number {
	const n = xs.length;
	if (!n || !(x >= xs[0]! - slack) || !(x <= xs[n - 1]! + slack)) return -1;
	let lo = 0,
		hi = n - 1;
	while (hi - lo > 1) {
		const mid = (lo + hi) >> 1;
		if (xs[mid]! <= x) lo = mid;
		else hi = mid;
	}
	return x - xs[lo]! <= xs[hi]! - x ? lo : hi;
}

export interface Range {
	lo: number;
	hi: number;
}

/** Least and greatest finite value, the ends of the percentiles asked for; only positive ones for a log axis. */
export function rangeOf(curves: Curve[], clip: [number, number] | null, positive: boolean, shown: (c: Curve) => number[][]): Range {
	const all: number[] = [];
	for (const c of curves) for (const list of shown(c)) for (const v of list) if (isFinite(v) && (!positive || v > 0)) all.push(v);
	if (!all.length) return { lo: NaN, hi: NaN };
	if (clip && all.length > 20) {
		all.sort((a, b) => a - b);
		const at = (p: number) => all[Math.min(all.length - 1, Math.max(0, Math.round((p / 100) * (all.length - 1))))]!;
		return { lo: at(clip[0]), hi: at(clip[1]) };
	}
	let lo = Infinity,
		hi = -Infinity;
	for (const v of all) {
		if (v < lo) lo = v;
		if (v > hi) hi = v;
	}
	return { lo, hi };
}

export type OddKind = 'nan' | 'inf' | '-inf';

/** Where a curve has no finite value to draw. */
export function oddOf(c: Curve): { x: number; kind: OddKind }[] {
	const out: { x: number; kind: OddKind }[] = [];
	for (let i = 0; i < c.x.length; i++) {
		const any = [c.min[i]!, c.max[i]!, c.mean[i]!, c.last[i]!];
		if (any.some(Number.isNaN) || c.nan[i]) out.push({ x: c.x[i]!, kind: 'nan' });
		if (any.includes(Infinity)) out.push({ x: c.x[i]!, kind: 'inf' });
		if (any.includes(-Infinity)) out.push({ x: c.x[i]!, kind: '-inf' });
	}
	return out;
}

/** What the label says of how much of the data is drawn. */
export function sampling(curves: Curve[]): string {
	const total = curves.reduce((sum, c) => sum + (c.exact ? c.x.length : c.n.reduce((a, b) => a + b, 0)), 0);
	if (!total) return 'no points';
	if (curves.every((c) => c.exact)) return total === 1 ? 'its one point' : 'every point';
	const drawn = curves.reduce((n, c) => n + c.x.length, 0);
	const each = Math.max(2, Math.round(total / Math.max(1, drawn)));
	return `1 of ${each} points, spikes in between kept`;
}

const LESS =
	/(^|[^a-z])(loss|losses|err|error|errors|rmse|mse|mae|mape|rmsle|nll|ppl|perplexity|wer|cer|fid|latency|regret|bpb)([^a-z]|$)|loss$|error$/i;
const MORE =
	/(^|[^a-z])(acc|accuracy|auc|auroc|auprc|r2|f1|fbeta|precision|recall|score|map|ap|bleu|rouge|reward|return|ndcg|mrr|iou|dice|psnr|ssim|kappa|mcc|hits?)([^a-z]|$)|accuracy$|score$/i;

/** Which way is better, judged by the name alone; null where the name does not tell. The charts say which they took. */
export function betterOf(key: string): 'less' | 'more' | null {
	if (key.startsWith('system/')) return null;
	return LESS.test(key) ? 'less' : MORE.test(key) ? 'more' : null;
}

export const lessIsBetter = (key: string): boolean => betterOf(key) === 'less';
