/* A chart as PNG, SVG or CSV. The pen that drew the screen draws the file, so both show the same. */

import { writeCSV } from './csv';
import { CanvasPen, fit, SvgPen, type Pen } from './pen';
import { strokeOf, type ChartRun, type Theme } from './theme';

export type Draw = (pen: Pen, theme: Theme, width: number, height: number) => void;
export type Cells = (string | number | null | undefined)[][];

const TITLE = 30;
const KEY_ROW = 18;
const KEY_WIDTH = 200;
const KEY_MAX = 60; /* more names than this would be larger than the chart */

export interface Sheet {
	title: string;
	width: number;
	height: number;
	draw: Draw;
	/** Runs to name in a key below the chart. */
	runs?: ChartRun[];
}

export function download(name: string, data: Blob): void {
	const a = document.createElement('a');
	a.href = URL.createObjectURL(data);
	a.download = name;
	a.click();
	setTimeout(() => URL.revokeObjectURL(a.href), 10_000);
}

export function fileName(title: string, end: string): string {
	return `${title.replace(/[^\p{L}\p{N}._-]+/gu, '-').replace(/^-+|-+$/g, '') || 'chart'}.${end}`;
}

function keyOf(sheet: Sheet): { runs: ChartRun[]; columns: number; height: number } {
	const runs = (sheet.runs ?? []).slice(0, KEY_MAX);
	const columns = Math.max(1, Math.floor(sheet.width / KEY_WIDTH));
	return { runs, columns, height: runs.length ? Math.ceil(runs.length / columns) * KEY_ROW + 10 : 0 };
}

/* The title above, the key below; `inside` draws the chart at its own origin. */
function page(pen: Pen, sheet: Sheet, t: Theme, inside: () => void): void {
	pen.text(12, 18, sheet.title, { fill: t.ink, size: 13, bold: true });
	inside();
	const key = keyOf(sheet);
	key.runs.forEach((run, i) => {
		const stroke = strokeOf(run, t);
		const x = 12 + (i % key.columns) * (sheet.width / key.columns);
		const y = TITLE + sheet.height + 8 + (Math.floor(i / key.columns) + 0.5) * KEY_ROW;
		pen.path([x, y, x + 18, y], { stroke: stroke.colour, width: 2.5, dash: stroke.dash });
		pen.text(x + 24, y, fit(run.name, sheet.width / key.columns - 40, t), { fill: t.ink2 });
	});
}

class Shifted implements Pen {
	constructor(
		private pen: Pen,
		private dy: number,
	) {}
	path(p: ArrayLike<number>, style: Parameters<Pen['path']>[1]): void {
		this.pen.path(
			Array.from(p, (v, i) => (i % 2 ? v + this.dy : v)),
			style,
		);
	}
	rect(x: number, y: number, w: number, h: number, style: Parameters<Pen['rect']>[4]): void {
		this.pen.rect(x, y + this.dy, w, h, style);
	}
	dot(x: number, y: number, r: number, style: Parameters<Pen['dot']>[3]): void {
		this.pen.dot(x, y + this.dy, r, style);
	}
	text(x: number, y: number, text: string, style: Parameters<Pen['text']>[3]): void {
		this.pen.text(x, y + this.dy, text, style);
	}
	clip(x: number, y: number, w: number, h: number, inside: () => void): void {
		this.pen.clip(x, y + this.dy, w, h, inside);
	}
}

export function svgText(sheet: Sheet, t: Theme): string {
	const pen = new SvgPen(sheet.width, sheet.height + TITLE + keyOf(sheet).height, t);
	page(pen, sheet, t, () => sheet.draw(new Shifted(pen, TITLE), t, sheet.width, sheet.height));
	return pen.toString();
}

export function saveSVG(sheet: Sheet, t: Theme): void {
	download(fileName(sheet.title, 'svg'), new Blob([svgText(sheet, t)], { type: 'image/svg+xml' }));
}

export async function savePNG(sheet: Sheet, t: Theme, scale = 2): Promise<void> {
	const canvas = document.createElement('canvas');
	const height = sheet.height + TITLE + keyOf(sheet).height;
	canvas.width = sheet.width * scale;
	canvas.height = height * scale;
	const ctx = canvas.getContext('2d');
	if (!ctx) return;
	ctx.scale(scale, scale);
	ctx.fillStyle = t.bg;
	ctx.fillRect(0, 0, sheet.width, height);
	const pen = new CanvasPen(ctx, t);
	page(pen, sheet, t, () => sheet.draw(new Shifted(pen, TITLE), t, sheet.width, sheet.height));
	const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done));
	if (blob) download(fileName(sheet.title, 'png'), blob);
}

export function saveCSV(title: string, rows: Cells): void {
	download(fileName(title, 'csv'), new Blob([writeCSV(rows)], { type: 'text/csv' }));
}
