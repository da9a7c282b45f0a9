/* Viridis for continuous values. Pure: no DOM. Runs get their colours from state/colour.ts. */

const VIRIDIS = [
	'440154',
	'481467',
	'482576',
	'453781',
	'404688',
	'39558c',
	'33638d',
	'2d718e',
	'287d8e',
	'238a8d',
	'1f968b',
	'20a386',
	'29af7f',
	'3dbc74',
	'56c667',
	'75d054',
	'95d840',
	'bade28',
	'dde318',
	'fde725',
].map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));

/** Viridis at t in 0 … 1. */
export function viridis(t: number): string {
	if (!(t >= 0)) t = 0;
	if (t > 1) t = 1;
	const at = t * (VIRIDIS.length - 1),
		i = Math.min(VIRIDIS.length - 2, Math.floor(at)),
		w = at - i;
	const a = VIRIDIS[i]!,
		b = VIRIDIS[i + 1]!;
	return `rgb(${a.map((v, k) => Math.round(v + (b[k]! - v) * w)).join(',')})`;
}
