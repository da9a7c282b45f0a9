/* The frame that charts with two axes share: margins, grid, ticks, names. */

import { fit, TEXT, textWidth, type Pen } from './pen';
import type { Scale } from './scale';
import type { Theme } from './theme';
import type { Tick } from './ticks';

export interface Area {
	x: number;
	y: number;
	w: number;
	h: number;
}

export interface AxisNames {
	x?: string;
	y?: string;
}

const LONGEST = 110; /* a category's name is cut at this width */

/** Room for the tick labels of y, which are as wide as they are. */
export function areaOf(w: number, h: number, y: Scale, t: Theme, names: AxisNames = {}, right = 12): Area {
	const labels = y.ticks(Math.max(2, Math.floor(h / 40))).map((k) => Math.min(LONGEST, textWidth(k.label, t)));
	const left = Math.ceil(Math.max(20, ...labels)) + 10 + (names.y ? 16 * t.unit : 0);
	const bottom = (names.x ? 36 : 22) * t.unit;
	return { x: left, y: 8, w: Math.max(10, w - left - right), h: Math.max(10, h - 8 - bottom) };
}

/** Ticks that do not run into one another. */
export function spaced(scale: Scale, width: number, t: Theme): Tick[] {
	for (let count = Math.max(2, Math.floor(width / 70)); count >= 1; count--) {
		const ticks = scale.ticks(count);
		const wide = Math.max(0, ...ticks.map((k) => Math.min(LONGEST, textWidth(k.label, t)))) + 8;
		if (ticks.length * wide <= width || count === 1) return ticks;
	}
	return [];
}

export function drawFrame(pen: Pen, t: Theme, a: Area, x: Scale, y: Scale, names: AxisNames = {}, xTicks?: Tick[]): void {
	for (const tick of y.ticks(Math.max(2, Math.floor(a.h / 40)))) {
		const py = Math.round(y.to(tick.value)) + 0.5;
		if (py < a.y - 1 || py > a.y + a.h + 1) continue;
		pen.path([a.x, py, a.x + a.w, py], { stroke: t.grid });
		pen.text(a.x - 7, py, fit(tick.label, LONGEST, t), { fill: t.ink3, align: 'right' });
	}
	for (const tick of xTicks ?? spaced(x, a.w, t)) {
		const px = Math.round(x.to(tick.value)) + 0.5;
		if (px < a.x - 1 || px > a.x + a.w + 1) continue;
		pen.path([px, a.y + a.h, px, a.y + a.h + 4], { stroke: t.strong });
		const label = fit(tick.label, LONGEST, t);
		const half = textWidth(label, t) / 2;
		pen.text(Math.max(half, Math.min(a.x + a.w + 10 - half, px)), a.y + a.h + 7, label, { fill: t.ink3, align: 'center', base: 'top' });
	}
	pen.path([a.x, a.y + a.h + 0.5, a.x + a.w, a.y + a.h + 0.5], { stroke: t.strong });
	if (names.x) pen.text(a.x + a.w / 2, a.y + a.h + 22 * t.unit, fit(names.x, a.w, t), { fill: t.ink2, align: 'center', base: 'top' });
	if (names.y) pen.text(TEXT * 0.7 * t.unit, a.y + a.h / 2, fit(names.y, a.h, t), { fill: t.ink2, align: 'center', turn: true });
}
