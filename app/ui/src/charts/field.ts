/* Contour of irregular points: piecewise linear over Delaunay triangles, so it is exact at every sample, drawn inside the
   hull only, and refuses with a reason where there is no surface to draw. Pure: no DOM.

   Not a smoother: a grid and a fit would invent values where nobody measured. */

import Delaunator from 'delaunator';

export interface FieldPoint {
	x: number;
	y: number;
	/** Mean of the samples that fell on this x, y. */
	z: number;
	/** Indexes of those samples in the input. */
	members: number[];
}

export interface Surface {
	ok: true;
	points: FieldPoint[];
	/** Three indexes into points for each triangle. */
	triangles: number[];
	zlo: number;
	zhi: number;
	skipped: number;
	/** Value at a place in data coordinates; NaN outside the hull. */
	at(x: number, y: number): number;
}

export type RefusalReason = 'none' | 'few' | 'constant-x' | 'constant-y' | 'collinear';

export interface Refusal {
	ok: false;
	reason: RefusalReason;
	message: string;
	points: FieldPoint[];
	skipped: number;
}

export type Field = Surface | Refusal;

export interface FieldOptions {
	xName?: string;
	yName?: string;
	/** Triangulate in the coordinates that are drawn: pass log10 for a log axis. */
	fx?: (v: number) => number;
	fy?: (v: number) => number;
}

const same = (v: number) => v;
const COLLINEAR = 1e-9; /* of the unit square: float noise of a grid's diagonal stays under it */

export function fieldOf(x: ArrayLike<number>, y: ArrayLike<number>, z: ArrayLike<number>, options: FieldOptions = {}): Field {
	const fx = options.fx ?? same,
		fy = options.fy ?? same;
	const xName = options.xName ?? 'x',
		yName = options.yName ?? 'y';
	const byPlace = new Map<string, FieldPoint>();
	let skipped = 0;
	for (let i = 0; i < x.length; i++) {
		const px = x[i]!,
			py = y[i]!,
			pz = z[i]!;
		if (!isFinite(fx(px)) || !isFinite(fy(py)) || !isFinite(pz)) {
			skipped++;
			continue;
		}
		const key = `${px + 0},${py + 0}`;
		const point = byPlace.get(key);
		if (!point) byPlace.set(key, { x: px, y: py, z: pz, members: [i] });
		else {
			point.z += (pz - point.z) / (point.members.length + 1);
			point.members.push(i);
		}
	}
	const points = [...byPlace.values()];
	const refuse = (reason: RefusalReason, message: string): Refusal => ({ ok: false, reason, message, points, skipped });
	const n = points.length;

	if (!n) return refuse('none', `No run has all three values: ${xName}, ${yName} and the metric.`);
	const xs = points.map((p) => fx(p.x)),
		ys = points.map((p) => fy(p.y));
	const [xlo, xhi] = ends(xs),
		[ylo, yhi] = ends(ys);
	if (n < 3)
		return refuse('few', `${n} distinct ${n === 1 ? 'point' : 'points'} of ${xName} and ${yName}; a contour needs at least three.`);
	if (xlo === xhi) return refuse('constant-x', `${xName} has one value, ${points[0]!.x}, in all these runs; a contour needs it to vary.`);
	if (ylo === yhi) return refuse('constant-y', `${yName} has one value, ${points[0]!.y}, in all these runs; a contour needs it to vary.`);

	/* Both axes onto the unit square: learning rates of 1e-5 and batch sizes of 1e3 must weigh the same. */
	const flat = new Float64Array(2 * n);
	for (let i = 0; i < n; i++) {
		flat[2 * i] = (xs[i]! - xlo) / (xhi - xlo);
		flat[2 * i + 1] = (ys[i]! - ylo) / (yhi - ylo);
	}
	if (onOneLine(flat))
		return refuse('collinear', `All points lie on one line in ${xName} and ${yName}; a contour needs points on both sides of it.`);

	const triangles: number[] = [];
	const mesh = new Delaunator(flat);
	for (let t = 0; t < mesh.triangles.length; t += 3) {
		const a = mesh.triangles[t]!,
			b = mesh.triangles[t + 1]!,
			c = mesh.triangles[t + 2]!;
		if (Math.abs(cross(flat, a, b, c)) > 1e-12) triangles.push(a, b, c);
	}
	const [zlo, zhi] = ends(points.map((p) => p.z));

	const at = (px: number, py: number): number => {
		const u = (fx(px) - xlo) / (xhi - xlo),
			v = (fy(py) - ylo) / (yhi - ylo);
		for (let t = 0; t < triangles.length; t += 3) {
			const a = triangles[t]!,
				b = triangles[t + 1]!,
				c = triangles[t + 2]!;
			const ax = flat[2 * a]!,
				ay = flat[2 * a + 1]!,
				bx = flat[2 * b]!,
				by = flat[2 * b + 1]!,
				cx = flat[2 * c]!,
				cy = flat[2 * c + 1]!;
			const whole = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay);
			const wb = ((u - ax) * (cy - ay) - (cx - ax) * (v - ay)) / whole;
			const wc = ((bx - ax) * (v - ay) - (u - ax) * (by - ay)) / whole;
			const wa = 1 - wb - wc;
			if (wa >= -1e-9 && wb >= -1e-9 && wc >= -1e-9) return wa * points[a]!.z + wb * points[b]!.z + wc * points[c]!.z;
		}
		return NaN;
	};
	return { ok: true, points, triangles, zlo, zhi, skipped, at };
}

function ends(v: number[]): [number, number] {
	let lo = Infinity,
		hi = -Infinity;
	for (const one of v) {
		if (one < lo) lo = one;
		if (one > hi) hi = one;
	}
	return [lo, hi];
}

function cross(p: Float64Array, a: number, b: number, c: number): number {
	return (p[2 * b]! - p[2 * a]!) * (p[2 * c + 1]! - p[2 * a + 1]!) - (p[2 * c]! - p[2 * a]!) * (p[2 * b + 1]! - p[2 * a + 1]!);
}

function onOneLine(p: Float64Array): boolean {
	let far = 0,
		best = 0;
	for (let i = 1; i < p.length / 2; i++) {
		const d = (p[2 * i]! - p[0]!) ** 2 + (p[2 * i + 1]! - p[1]!) ** 2;
		if (d > best) {
			best = d;
			far = i;
		}
	}
	for (let i = 1; i < p.length / 2; i++) if (Math.abs(cross(p, 0, far, i)) > COLLINEAR) return false;
	return true;
}

export interface Band {
	lo: number;
	hi: number;
	/** Polygons in pixel coordinates, flat x, y. */
	polygons: number[][];
}

/** The bands between consecutive levels, each triangle cut by itself. px and py give each point's pixel. */
export function bandsOf(field: Surface, levels: number[], px: number[], py: number[]): Band[] {
	const bands: Band[] = [];
	for (let i = 0; i + 1 < levels.length; i++) bands.push({ lo: levels[i]!, hi: levels[i + 1]!, polygons: [] });
	if (!bands.length) bands.push({ lo: field.zlo, hi: field.zhi, polygons: [] });
	for (let t = 0; t < field.triangles.length; t += 3) {
		const corner = [0, 1, 2].map((k) => {
			const i = field.triangles[t + k]!;
			return [px[i]!, py[i]!, field.points[i]!.z];
		});
		const zmin = Math.min(corner[0]![2]!, corner[1]![2]!, corner[2]![2]!);
		const zmax = Math.max(corner[0]![2]!, corner[1]![2]!, corner[2]![2]!);
		for (let i = 0; i < bands.length; i++) {
			const band = bands[i]!;
			const last = i === bands.length - 1;
			if (zmax < band.lo || zmin > band.hi || (zmin === band.hi && !last)) continue;
			const polygon = cut(cut(corner, band.lo, 1), band.hi, -1);
			if (polygon.length >= 3) band.polygons.push(polygon.flatMap((p) => [p[0]!, p[1]!]));
		}
	}
	return bands;
}

/* Sutherland-Hodgman against the plane z = level; side 1 keeps above, -1 below. */
function cut(polygon: number[][], level: number, side: 1 | -1): number[][] {
	const out: number[][] = [];
	for (let i = 0; i < polygon.length; i++) {
		const a = polygon[i]!,
			b = polygon[(i + 1) % polygon.length]!;
		const da = (a[2]! - level) * side,
			db = (b[2]! - level) * side;
		if (da >= 0) out.push(a);
		if ((da > 0 && db < 0) || (da < 0 && db > 0)) {
			const w = da / (da - db);
			out.push([a[0]! + (b[0]! - a[0]!) * w, a[1]! + (b[1]! - a[1]!) * w, level]);
		}
	}
	return out;
}

/** Segments where the surface crosses a level, in pixels, flat x1, y1, x2, y2. */
export function isolineOf(field: Surface, level: number, px: number[], py: number[]): number[] {
	const out: number[] = [];
	for (let t = 0; t < field.triangles.length; t += 3) {
		const hit: number[] = [];
		for (let k = 0; k < 3; k++) {
			const i = field.triangles[t + k]!,
				j = field.triangles[t + ((k + 1) % 3)]!;
			const a = field.points[i]!.z - level,
				b = field.points[j]!.z - level;
			if (a >= 0 !== b >= 0) {
				const w = a / (a - b);
				hit.push(px[i]! + (px[j]! - px[i]!) * w, py[i]! + (py[j]! - py[i]!) * w);
			}
		}
		if (hit.length === 4) out.push(...hit);
	}
	return out;
}
