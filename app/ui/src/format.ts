/* How values are written: numbers to four significant digits with the exact value on hover, times in the local zone. */

const MINUS = '\u2212';

/* The client stores an infinite value as the largest double. */
const INFINITE = 1.797e308;

/* Four significant digits, six above a thousand, and no digit before the point is made a zero. */
export function short(value: number): string {
	if (Number.isNaN(value))
		return 'NaN';
	if (Math.abs(value) >= INFINITE)
		return value > 0 ? 'Infinity' : '-Infinity';
	if (value === 0)
		return '0';
	const size = Math.abs(value);
	if (Number.isInteger(value) && size < 1e7)
		return String(value);
	if (size >= 1e7 || size < 1e-3)
		return value.toExponential(3).replace(/\.?0+e/, 'e').replace('e+', 'e');
	return String(Number(size < 1000 ? value.toPrecision(4) : value.toFixed(Math.max(0, 5 - Math.floor(Math.log10(size))))));
}

/* The value as the server has it, for title attributes and copying. */
export function exact(value: number): string {
	return String(value);
}

export function signedPercent(ratio: number): string {
	if (!Number.isFinite(ratio))
		return '';
	const percent = Math.abs(ratio) * 100;
	const digits = percent >= 100 ? percent.toFixed(0) : percent.toFixed(1);
	return `${ratio > 0 ? '+' : ratio < 0 ? MINUS : '±'}${digits}%`;
}

export function count(value: number): string {
	return value.toLocaleString('en-US');
}

export function plural(value: number, word: string, many = `${word}s`): string {
	return `${count(value)} ${value === 1 ? word : many}`;
}

export function bytes(value: number): string {
	if (!Number.isFinite(value))
		return '';
	const units = ['B', 'kB', 'MB', 'GB', 'TB'];
	let unit = 0;
	while (value >= 1000 && unit < units.length - 1) {
		value /= 1000;
		unit++;
	}
	return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}

/* "4 min ago", from milliseconds since 1970. */
export function ago(ms: number, now = Date.now()): string {
	if (!Number.isFinite(ms) || ms <= 0)
		return '';
	const s = Math.round((now - ms) / 1000);
	if (s < 0)
		return when(ms);
	if (s < 10)
		return 'just now';
	if (s < 60)
		return `${s} s ago`;
	if (s < 3600)
		return `${Math.floor(s / 60)} min ago`;
	if (s < 86400)
		return `${Math.floor(s / 3600)} h ago`;
	if (s < 86400 * 30)
		return `${Math.floor(s / 86400)} d ago`;
	return day.format(ms);
}

const day = new Intl.DateTimeFormat('en-CA', { year: 'numeric', month: '2-digit', day: '2-digit' });
const full = new Intl.DateTimeFormat('en-CA', { dateStyle: 'short', timeStyle: 'long', hourCycle: 'h23' });

/* The exact time in the local zone. */
export function when(ms: number): string {
	return Number.isFinite(ms) && ms > 0 ? full.format(ms) : '';
}

export function duration(ms: number): string {
	if (!Number.isFinite(ms) || ms < 0)
		return '';
	if (ms < 1000)
		return `${Math.round(ms)} ms`;
	const s = ms / 1000;
	if (s < 60)
		return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
	if (s < 3600)
		return `${Math.floor(s / 60)} m ${String(Math.floor(s % 60)).padStart(2, '0')} s`;
	if (s < 86400)
		return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, '0')} m`;
	return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}
