/* Tick positions and number words for every chart. Pure: no DOM. */

export interface Tick {
	value: number;
	label: string;
}

/** The nearest 1, 2 or 5 times a power of ten that gives about `count` steps over `span`. */
export function niceStep(span: number, count: number): number {
	const raw = span / Math.max(1, count);
	const power = Math.pow(10, Math.floor(Math.log10(raw)));
	const unit = raw / power;
	return (unit < 1.5 ? 1 : unit < 3.5 ? 2 : unit < 7.5 ? 5 : 10) * power;
}

/** Multiples of a nice step inside [lo, hi]. */
export function niceTicks(lo: number, hi: number, count: number): number[] {
	if (!(hi > lo) || !isFinite(lo) || !isFinite(hi)) return isFinite(lo) ? [lo] : [];
	const step = niceStep(hi - lo, count);
	const first = Math.ceil(lo / step - 1e-9);
	const last = Math.floor(hi / step + 1e-9);
	const out: number[] = [];
	for (let i = first; i <= last && out.length < 1000; i++) out.push(clean(i * step, step));
	return out;
}

/* 3 * 0.1 is 0.30000000000000004: round to the digits the step has. */
function clean(v: number, step: number): number {
	const digits = Math.max(0, Math.min(20, 1 - Math.floor(Math.log10(step))));
	return step < 1e-18 ? v : Number(v.toFixed(digits)) + 0;
}

/** Powers of ten, with 2 and 5 between them where there are few decades; linear ticks inside one decade. */
export function logTicks(lo: number, hi: number, count: number): number[] {
	if (!(lo > 0) || !(hi > lo)) return lo > 0 ? [lo] : [];
	const from = Math.floor(Math.log10(lo)),
		to = Math.ceil(Math.log10(hi));
	const decades = Math.log10(hi / lo);
	if (decades < 1) return niceTicks(lo, hi, count);
	const every = Math.max(1, Math.ceil(decades / count));
	const units = decades < 2 ? [1, 2, 5] : decades < count / 2 ? [1, 3] : [1];
	const out: number[] = [];
	for (let e = from; e <= to; e += every)
		for (const unit of units) {
			const v = Number(`${unit}e${e}`);
			if (v >= lo * (1 - 1e-9) && v <= hi * (1 + 1e-9)) out.push(v);
		}
	return out;
}

const SECOND = 1000,
	MINUTE = 60 * SECOND,
	HOUR = 60 * MINUTE,
	DAY = 24 * HOUR;
const TIME_STEPS = [
	1,
	5,
	10,
	50,
	100,
	500,
	SECOND,
	2 * SECOND,
	5 * SECOND,
	10 * SECOND,
	30 * SECOND,
	MINUTE,
	2 * MINUTE,
	5 * MINUTE,
	10 * MINUTE,
	30 * MINUTE,
	HOUR,
	2 * HOUR,
	6 * HOUR,
	12 * HOUR,
	DAY,
	2 * DAY,
	7 * DAY,
	30 * DAY,
	90 * DAY,
	365 * DAY,
];

/** Ticks of wall time (epoch milliseconds) in the reader's zone. */
export function timeTicks(lo: number, hi: number, count: number): Tick[] {
	if (!(hi > lo)) return isFinite(lo) ? [{ value: lo, label: timeLabel(lo, SECOND) }] : [];
	const step = TIME_STEPS.find((s) => (hi - lo) / s <= count) ?? 365 * DAY;
	const shift = new Date(lo).getTimezoneOffset() * MINUTE;
	const out: Tick[] = [];
	for (let t = Math.ceil((lo - shift) / step) * step + shift; t <= hi && out.length < 100; t += step)
		out.push({ value: t, label: timeLabel(t, step) });
	return out;
}

function timeLabel(ms: number, step: number): string {
	const d = new Date(ms);
	const two = (n: number) => String(n).padStart(2, '0');
	if (step >= DAY) return d.toLocaleDateString(undefined, { month: 'short', day: 'numeric' });
	if (step >= MINUTE) return `${two(d.getHours())}:${two(d.getMinutes())}`;
	if (step >= SECOND) return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
	return `${two(d.getSeconds())}.${String(d.getMilliseconds()).padStart(3, '0')}`;
}

/** Ticks of a duration given in milliseconds. */
export function durationTicks(lo: number, hi: number, count: number): Tick[] {
	if (!(hi > lo)) return isFinite(lo) ? [{ value: lo, label: duration(lo) }] : [];
	const step = TIME_STEPS.find((s) => (hi - lo) / s <= count) ?? 365 * DAY;
	const out: Tick[] = [];
	for (let t = Math.ceil(lo / step) * step; t <= hi && out.length < 100; t += step) out.push({ value: t, label: duration(t) });
	return out;
}

export function duration(ms: number): string {
	if (!isFinite(ms)) return '–';
	if (ms < 0) return '−' + duration(-ms);
	if (ms === 0) return '0';
	if (ms < SECOND) return `${Number(ms.toPrecision(3))} ms`;
	if (ms < MINUTE) return `${Number((ms / SECOND).toFixed(1))} s`;
	const join = (big: number, unit: string, small: number, sub: string) => (small ? `${big} ${unit} ${small} ${sub}` : `${big} ${unit}`);
	if (ms < HOUR) return join(Math.floor(ms / MINUTE), 'm', Math.floor((ms % MINUTE) / SECOND), 's');
	if (ms < DAY) return join(Math.floor(ms / HOUR), 'h', Math.floor((ms % HOUR) / MINUTE), 'm');
	return join(Math.floor(ms / DAY), 'd', Math.floor((ms % DAY) / HOUR), 'h');
}

/** One number in at most four significant digits; the exact value belongs in a hover. */
export function short(v: number): string {
	if (Number.isNaN(v)) return 'NaN';
	if (!isFinite(v)) return v > 0 ? '∞' : '−∞';
	if (v === 0) return '0';
	const a = Math.abs(v);
	let s: string;
	if (Number.isInteger(v) && a < 1e7) s = String(a);
	else if (a >= 1e7 || a < 1e-3)
		s = a
			.toExponential(3)
			.replace(/\.?0+e/, 'e')
			.replace('e+', 'e');
	else s = String(Number(a < 1000 ? a.toPrecision(4) : a.toFixed(Math.max(0, 5 - Math.floor(Math.log10(a))))));
	return v < 0 ? '−' + s : s;
}

/** Labels for a set of ticks: the same number of decimals each, k, M, G for large ones. */
export function tickLabels(values: number[]): string[] {
	if (!values.length) return [];
	const top = Math.max(...values.map(Math.abs));
	let step = Infinity;
	for (let i = 1; i < values.length; i++) step = Math.min(step, Math.abs(values[i]! - values[i - 1]!));
	if (!isFinite(step) || step === 0) return values.map(short);
	if (top < 1e-3 || top >= 1e13) return values.map((v) => (v === 0 ? '0' : sign(v, Math.abs(v).toExponential().replace('e+', 'e'))));
	const units: [number, string][] = [
		[1e12, ' T'],
		[1e9, ' G'],
		[1e6, ' M'],
		[1e3, ' k'],
	];
	const [size, word] = top >= 1e4 ? units.find((u) => top >= u[0])! : [1, ''];
	let decimals = Math.max(0, Math.min(12, -Math.floor(Math.log10(step / size) + 1e-9)));
	if (decimals < 12 && Math.abs(Math.round((step / size) * 10 ** decimals) - (step / size) * 10 ** decimals) > 1e-6) decimals++;
	return values.map((v) => (v === 0 ? '0' : sign(v, trim((Math.abs(v) / size).toFixed(decimals), size > 1) + word)));
}

const sign = (v: number, s: string) => (v < 0 ? '−' + s : s);
const trim = (s: string, on: boolean) => (on && s.includes('.') ? s.replace(/\.?0+$/, '') : s);

/** Labels of log ticks: each on its own, since steps differ. */
export function logLabels(values: number[]): string[] {
	return values.map((v) => (v >= 1e4 || v < 1e-3 ? v.toExponential().replace('e+', 'e') : String(Number(v.toPrecision(6)))));
}
