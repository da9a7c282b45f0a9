/* One drawing, three outputs: a chart draws with a pen, and the pen writes to a canvas (screen and PNG) or to SVG text. */

import type { Theme } from './theme';

export interface Stroke {
	fill?: string;
	stroke?: string;
	width?: number;
	dash?: readonly number[];
	alpha?: number;
}

export interface TextStyle {
	fill: string;
	size?: number;
	align?: 'left' | 'center' | 'right';
	base?: 'top' | 'middle' | 'bottom';
	mono?: boolean;
	bold?: boolean;
	/** Quarter turn, reading upwards. */
	turn?: boolean;
}

export interface Pen {
	/** Flat x, y; a NaN lifts the pen. */
	path(points: ArrayLike<number>, style: Stroke & { close?: boolean }): void;
	rect(x: number, y: number, w: number, h: number, style: Stroke): void;
	dot(x: number, y: number, r: number, style: Stroke): void;
	text(x: number, y: number, text: string, style: TextStyle): void;
	clip(x: number, y: number, w: number, h: number, inside: () => void): void;
}

export const TEXT = 11;

export class CanvasPen implements Pen {
	constructor(
		private ctx: CanvasRenderingContext2D,
		private theme: Theme,
	) {}

	private paint(style: Stroke): void {
		const c = this.ctx;
		c.globalAlpha = style.alpha ?? 1;
		if (style.fill) {
			c.fillStyle = style.fill;
			c.fill();
		}
		if (style.stroke) {
			c.strokeStyle = style.stroke;
			c.lineWidth = style.width ?? 1;
			c.setLineDash(style.dash ? [...style.dash] : []);
			c.lineJoin = 'round';
			c.stroke();
		}
		c.globalAlpha = 1;
	}

	path(p: ArrayLike<number>, style: Stroke & { close?: boolean }): void {
		const c = this.ctx;
		let down = false;
		c.beginPath();
		for (let i = 0; i + 1 < p.length; i += 2) {
			const x = p[i]!,
				y = p[i + 1]!;
			if (x !== x || y !== y) {
				down = false;
				continue;
			}
			if (down) c.lineTo(x, y);
			else c.moveTo(x, y);
			down = true;
		}
		if (style.close) c.closePath();
		this.paint(style);
	}

	rect(x: number, y: number, w: number, h: number, style: Stroke): void {
		this.ctx.beginPath();
		this.ctx.rect(x, y, w, h);
		this.paint(style);
	}

	dot(x: number, y: number, r: number, style: Stroke): void {
		if (x !== x || y !== y) return;
		this.ctx.beginPath();
		this.ctx.arc(x, y, r, 0, 2 * Math.PI);
		this.paint(style);
	}

	text(x: number, y: number, text: string, style: TextStyle): void {
		const c = this.ctx;
		c.font = fontOf(style, this.theme);
		c.fillStyle = style.fill;
		c.textAlign = style.align ?? 'left';
		c.textBaseline = style.base === 'top' ? 'top' : style.base === 'bottom' ? 'alphabetic' : 'middle';
		if (!style.turn) {
			c.fillText(text, x, y);
			return;
		}
		c.save();
		c.translate(x, y);
		c.rotate(-Math.PI / 2);
		c.fillText(text, 0, 0);
		c.restore();
	}

	clip(x: number, y: number, w: number, h: number, inside: () => void): void {
		this.ctx.save();
		this.ctx.beginPath();
		this.ctx.rect(x, y, w, h);
		this.ctx.clip();
		inside();
		this.ctx.restore();
	}
}

function fontOf(style: TextStyle, t: Theme): string {
	return `${style.bold ? '600 ' : ''}${(style.size ?? TEXT) * t.unit}px ${style.mono ? t.num : t.ui}`;
}

let ruler: CanvasRenderingContext2D | null = null;

export function textWidth(text: string, t: Theme, style: Partial<TextStyle> = {}): number {
	ruler ??= document.createElement('canvas').getContext('2d');
	if (!ruler) return text.length * 6;
	ruler.font = fontOf({ fill: '', ...style }, t);
	return ruler.measureText(text).width;
}

/** The text, shortened in the middle so that it fits. */
export function fit(text: string, width: number, t: Theme, style: Partial<TextStyle> = {}): string {
	if (textWidth(text, t, style) <= width) return text;
	let keep = Math.min(text.length - 1, Math.max(1, Math.floor((text.length * width) / textWidth(text, t, style))));
	const cut = () => text.slice(0, Math.ceil(keep / 2)) + '…' + (keep > 1 ? text.slice(-Math.floor(keep / 2)) : '');
	while (keep > 1 && textWidth(cut(), t, style) > width) keep--;
	return cut();
}

const escape = (s: string) => s.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);
const round = (v: number) => String(Math.round(v * 100) / 100);

export class SvgPen implements Pen {
	private parts: string[] = [];
	private clips = 0;

	constructor(
		private width: number,
		private height: number,
		private theme: Theme,
	) {}

	private paint(s: Stroke): string {
		let out = ` fill="${s.fill ? escape(s.fill) : 'none'}"`;
		if (s.stroke) out += ` stroke="${escape(s.stroke)}" stroke-width="${s.width ?? 1}" stroke-linejoin="round"`;
		if (s.dash?.length) out += ` stroke-dasharray="${s.dash.join(' ')}"`;
		if (s.alpha !== undefined && s.alpha !== 1) out += ` opacity="${s.alpha}"`;
		return out;
	}

	path(p: ArrayLike<number>, style: Stroke & { close?: boolean }): void {
		let d = '',
			down = false;
		for (let i = 0; i + 1 < p.length; i += 2) {
			if (p[i] !== p[i] || p[i + 1] !== p[i + 1]) {
				down = false;
				continue;
			}
			d += `${down ? 'L' : 'M'}${round(p[i]!)} ${round(p[i + 1]!)}`;
			down = true;
		}
		if (d) this.parts.push(`<path d="${d}${style.close ? 'Z' : ''}"${this.paint(style)}/>`);
	}

	rect(x: number, y: number, w: number, h: number, style: Stroke): void {
		this.parts.push(
			`<rect x="${round(x)}" y="${round(y)}" width="${round(Math.max(0, w))}" height="${round(Math.max(0, h))}"${this.paint(style)}/>`,
		);
	}

	dot(x: number, y: number, r: number, style: Stroke): void {
		if (x === x && y === y) this.parts.push(`<circle cx="${round(x)}" cy="${round(y)}" r="${round(r)}"${this.paint(style)}/>`);
	}

	text(x: number, y: number, text: string, s: TextStyle): void {
		const size = (s.size ?? TEXT) * this.theme.unit;
		const anchor = { left: 'start', center: 'middle', right: 'end' }[s.align ?? 'left'];
		const shift = s.base === 'top' ? size * 0.8 : s.base === 'bottom' ? 0 : size * 0.35;
		const place = s.turn
			? `transform="translate(${round(x)} ${round(y)}) rotate(-90)" y="${round(shift)}"`
			: `x="${round(x)}" y="${round(y + shift)}"`;
		this.parts.push(
			`<text ${place} text-anchor="${anchor}" font-size="${round(size)}" font-family="${escape(s.mono ? this.theme.num : this.theme.ui)}"${s.bold ? ' font-weight="600"' : ''} fill="${escape(s.fill)}">${escape(text)}</text>`,
		);
	}

	clip(x: number, y: number, w: number, h: number, inside: () => void): void {
		const id = `c${++this.clips}`;
		this.parts.push(
			`<clipPath id="${id}"><rect x="${round(x)}" y="${round(y)}" width="${round(w)}" height="${round(h)}"/></clipPath><g clip-path="url(#${id})">`,
		);
		inside();
		this.parts.push('</g>');
	}

	toString(): string {
		return `<svg xmlns="http://www.w3.org/2000/svg" width="${this.width}" height="${this.height}" viewBox="0 0 ${this.width} ${this.height}"><rect width="100%" height="100%" fill="${escape(this.theme.bg)}"/>${this.parts.join('')}</svg>`;
	}
}
