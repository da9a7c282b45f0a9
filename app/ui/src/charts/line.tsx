/* Curves of one metric for many runs. The server thins them to buckets; the least and greatest of each bucket stay visible as
   a band, a zoom asks for the window again and gets the raw points. One cursor for all charts with the same x axis.

   Drawn on our own canvas rather than by uPlot: the points arrive thinned, so speed is no question, and one renderer serves
   screen, PNG and SVG. */

import { effect, signal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { when } from '../format';
import { ChartCanvas, ChartCard, type At } from './card';
import type { Cells, Draw } from './export';
import { areaOf, drawFrame } from './plot';
import { scaleOf } from './scale';
import { nearest, oddOf, rangeOf, sampling, smooth, type Curve } from './series';
import { strokeOf, theme, type ChartRun } from './theme';
import { duration, short } from './ticks';
import type { Pen } from './pen';

export type XAxis = 'step' | 'time' | 'relative';
export type Window = [number, number] | null;

export interface LineProps {
	title: string;
	runs: ChartRun[];
	curves: Curve[];
	x: XAxis;
	logY?: boolean;
	/** 0 … 0.99 */
	smooth?: number;
	/** Percentiles that the y axis spans. */
	clip?: [number, number] | null;
	window?: Window;
	onWindow?: (w: Window) => void;
	height?: number;
	/** Which way is better; null: not known, and nothing is called better. */
	better?: 'less' | 'more' | null;
	busy?: boolean;
	controls?: ComponentChildren;
	note?: ComponentChildren;
	rows?: number;
	baseline?: string;
}

const MANY = 60; /* curves: from here on thin and without bands, or nothing is seen */

/* The x under the pointer, for every chart with this kind of x axis. */
const cursor = signal<{ axis: XAxis; x: number } | null>(null);

export function xWord(axis: XAxis, x: number): string {
	if (axis === 'time') return when(x);
	if (axis === 'relative') return `${duration(x)} after the start`;
	return `Step ${Math.round(x).toLocaleString('en-US')}`;
}

export function LineChart(props: LineProps): JSX.Element {
	const t = theme.value;
	const height = props.height ?? 200;
	const [width, setWidth] = useState(0);
	const [at, setAt] = useState<number | null>(null);
	const [drag, setDrag] = useState<[number, number] | null>(null);
	const from = useRef(0);
	const { curves, runs } = props;
	const weight = props.smooth ?? 0;

	const byId = useMemo(() => new Map(runs.map((r) => [r.run_id, r])), [runs]);
	const lines = useMemo(
		() =>
			curves
				.filter((c) => c.x.length && byId.has(c.run_id))
				.map((c) => ({ curve: c, run: byId.get(c.run_id)!, smoothed: smooth(c.mean, weight), odd: oddOf(c) })),
		[curves, byId, weight],
	);

	const frame = useMemo(() => {
		let lo = Infinity,
			hi = -Infinity;
		for (const { curve } of lines) {
			lo = Math.min(lo, curve.x[0]!);
			hi = Math.max(hi, curve.x[curve.x.length - 1]!);
		}
		const [a, b] = props.window ?? [lo, hi];
		const y = rangeOf(curves, props.clip ?? null, Boolean(props.logY), (c) => (weight && c.exact ? [c.mean] : [c.min, c.max]));
		const log = Boolean(props.logY) && y.lo > 0;
		return {
			x: { lo: a, hi: b },
			y,
			log,
			scales: (w: number, h: number) => {
				const kind = props.x === 'time' ? 'time' : props.x === 'relative' ? 'duration' : 'linear';
				const ys = scaleOf(y.lo, y.hi, h, 0, { kind: log ? 'log' : 'linear', pad: 0.05 });
				const area = areaOf(w, h, ys, theme.value);
				return {
					area,
					xs: scaleOf(a, b, area.x, area.x + area.w, { kind }),
					ys: scaleOf(y.lo, y.hi, area.y + area.h, area.y, { kind: log ? 'log' : 'linear', pad: 0.05 }),
				};
			},
		};
	}, [lines, props.window, props.logY, props.clip, props.x, weight, t]);

	useEffect(
		() =>
			effect(() => {
				const c = cursor.value;
				setAt(c && c.axis === props.x ? c.x : null);
			}),
		[props.x],
	);

	const draw: Draw = useMemo(
		() => (pen, th, w, h) => {
			const { area, xs, ys } = frame.scales(w, h);
			drawFrame(pen, th, area, xs, ys);
			pen.clip(area.x - 3, area.y - 2, area.w + 6, area.h + 4, () => {
				/* The baseline last: it lies above the others. */
				const many = lines.length > MANY;
				const order = [...lines].sort((p, q) => Number(p.run.baseline ?? false) - Number(q.run.baseline ?? false));
				for (const { curve, run, smoothed } of order) {
					const stroke = strokeOf(run, th);
					if (!curve.exact && !many) band(pen, curve, stroke.colour, xs.to, ys.to);
					if (weight > 0) pen.path(flat(curve.x, curve.mean, xs.to, ys.to), { stroke: stroke.colour, width: 1, alpha: 0.28 });
					const p = flat(curve.x, smoothed, xs.to, ys.to);
					pen.path(p, {
						stroke: stroke.colour,
						width: run.baseline ? 2 : many ? 1 : 1.5,
						dash: many ? [] : stroke.dash,
						alpha: many && !run.baseline ? 0.6 : 1,
					});
					if (curve.x.length <= Math.max(1, area.w / 14))
						for (let i = 0; i < p.length; i += 2) pen.dot(p[i]!, p[i + 1]!, curve.x.length === 1 ? 3.5 : 2.2, { fill: stroke.colour });
				}
			});
			/* Values that are no number: on the edge where they would be, in the run's colour. */
			for (const { run, odd } of lines) {
				const colour = strokeOf(run, th).colour;
				for (const one of odd) {
					const px = xs.to(one.x);
					if (!(px >= area.x - 1 && px <= area.x + area.w + 1)) continue;
					if (one.kind === 'nan') {
						const py = area.y + area.h - 4;
						pen.path([px - 3, py - 3, px + 3, py + 3, NaN, NaN, px - 3, py + 3, px + 3, py - 3], { stroke: colour, width: 1.5 });
					} else {
						const up = one.kind === 'inf';
						const tip = up ? area.y : area.y + area.h,
							foot = up ? tip + 7 : tip - 7;
						pen.path([px, tip, px - 4, foot, px + 4, foot], { fill: colour, close: true });
					}
				}
			}
		},
		[frame, lines, weight],
	);

	const over: Draw = useMemo(
		() => (pen, th, w, h) => {
			const { area, xs, ys } = frame.scales(w, h);
			if (drag) {
				const [a, b] = [Math.min(...drag), Math.max(...drag)];
				pen.rect(a, area.y, b - a, area.h, { fill: th.accent, alpha: 0.14 });
			}
			if (at === null) return;
			const px = xs.to(at);
			if (!(px >= area.x && px <= area.x + area.w)) return;
			pen.path([px, area.y, px, area.y + area.h], { stroke: th.ink3, dash: [2, 2] });
			for (const { curve, run, smoothed } of lines) {
				const i = nearest(curve.x, at, slack(frame.x));
				if (i < 0) continue;
				const x = xs.to(curve.x[i]!),
					y = ys.to(smoothed[i]!);
				if (y >= area.y - 2 && y <= area.y + area.h + 2) pen.dot(x, y, 3.2, { fill: th.bg, stroke: strokeOf(run, th).colour, width: 2 });
			}
		},
		[frame, lines, at, drag],
	);

	const toX = (p: At, w: number) => {
		const { area, xs } = frame.scales(w, height);
		return xs.from(Math.max(area.x, Math.min(area.x + area.w, p.x)));
	};
	const point = (p: At | null, w: number) => {
		cursor.value = p ? { axis: props.x, x: snap(lines, toX(p, w), frame.x) } : null;
	};
	const zoomBy = (factor: number) => {
		const mid = at ?? (frame.x.lo + frame.x.hi) / 2,
			half = ((frame.x.hi - frame.x.lo) * factor) / 2;
		props.onWindow?.([mid - half, mid + half]);
	};
	const key = (e: KeyboardEvent) => {
		const span = frame.x.hi - frame.x.lo;
		const step = (d: number) => {
			const now = at ?? frame.x.lo;
			const xs = [...new Set(lines.flatMap((l) => l.curve.x))].sort((a, b) => a - b);
			const next = d > 0 ? xs.find((x) => x > now + span * 1e-9) : xs.reverse().find((x) => x < now - span * 1e-9);
			if (next !== undefined) cursor.value = { axis: props.x, x: next };
		};
		if (e.key === 'ArrowRight') step(1);
		else if (e.key === 'ArrowLeft') step(-1);
		else if ((e.key === '+' || e.key === '=') && props.onWindow) zoomBy(0.5);
		else if (e.key === '-' && props.onWindow) zoomBy(2);
		else if (e.key === '0' && props.onWindow) props.onWindow(null);
		else return;
		e.preventDefault();
		e.stopPropagation();
	};

	const odd = { nan: 0, inf: 0, '-inf': 0 };
	for (const line of lines) for (const one of line.odd) odd[one.kind]++;
	const low = props.logY ? lines.reduce((n, l) => n + l.curve.mean.filter((v) => v <= 0).length, 0) : 0;
	const notes = [
		sampling(lines.map((l) => l.curve)),
		odd.nan ? `× ${odd.nan} NaN` : '',
		odd.inf ? `▲ ${odd.inf} infinite` : '',
		odd['-inf'] ? `▼ ${odd['-inf']} negative infinite` : '',
		low ? `${low} of 0 or less, not on a log axis` : '',
		props.clip ? `y spans ${props.clip[0]}–${props.clip[1]} %` : '',
	].filter(Boolean);

	return (
		<ChartCard
			title={props.title}
			busy={props.busy}
			controls={
				<>
					{props.window && (
						<button type="button" class="btn small quiet" onClick={() => props.onWindow?.(null)}>
							Whole range
						</button>
					)}
					{props.controls}
				</>
			}
			draw={draw}
			runs={lines.map((l) => l.run)}
			width={width}
			height={height}
			csv={() =>
				lineCells(
					lines.map((l) => ({ run: l.run, curve: l.curve })),
					props.x,
				)
			}
			note={
				<>
					{notes.join(' · ')}
					{props.note}
				</>
			}
		>
			<ChartCanvas
				height={height}
				label={`${props.title}: ${lines.length} ${lines.length === 1 ? 'curve' : 'curves'} by ${props.x}. Arrow keys move the cursor, plus and minus zoom, 0 shows the whole range.`}
				draw={draw}
				over={over}
				onWidth={setWidth}
				onPoint={point}
				onPress={(p) => {
					from.current = p.x;
				}}
				onDrag={(p, w, done) => {
					if (!done) {
						setDrag([from.current, p.x]);
						return;
					}
					setDrag(null);
					if (Math.abs(p.x - from.current) > 5 && props.onWindow) {
						const ends = [toX({ x: from.current, y: 0 }, w), toX(p, w)].sort((a, b) => a - b);
						props.onWindow([ends[0]!, ends[1]!]);
					}
				}}
				onDouble={() => props.onWindow?.(null)}
				onKey={key}
				cursor="crosshair"
			/>
			<LineKey lines={lines} axis={props.x} at={at} span={frame.x} rows={props.rows ?? 4} better={props.better ?? null} />
		</ChartCard>
	);
}

interface Line {
	curve: Curve;
	run: ChartRun;
	smoothed: number[];
}

const slack = (x: { lo: number; hi: number }) => (x.hi - x.lo) * 0.01;

/* The nearest x that some run has, so that the words below name a step that exists. */
function snap(lines: Line[], x: number, span: { lo: number; hi: number }): number {
	let best = x,
		gap = Infinity;
	for (const { curve } of lines) {
		const i = nearest(curve.x, x, span.hi - span.lo);
		if (i >= 0 && Math.abs(curve.x[i]! - x) < gap) {
			gap = Math.abs(curve.x[i]! - x);
			best = curve.x[i]!;
		}
	}
	return best;
}

function flat(xs: number[], ys: number[], x: (v: number) => number, y: (v: number) => number): Float64Array {
	const out = new Float64Array(xs.length * 2);
	for (let i = 0; i < xs.length; i++) {
		out[2 * i] = x(xs[i]!);
		out[2 * i + 1] = y(ys[i]!);
	}
	return out;
}

function band(pen: Pen, c: Curve, colour: string, x: (v: number) => number, y: (v: number) => number): void {
	let up: number[] = [],
		down: number[] = [];
	const close = () => {
		if (up.length > 2) pen.path([...up, ...down], { fill: colour, alpha: 0.18, close: true });
		up = [];
		down = [];
	};
	for (let i = 0; i < c.x.length; i++) {
		const px = x(c.x[i]!),
			hi = y(c.max[i]!),
			lo = y(c.min[i]!);
		if (px !== px || hi !== hi || lo !== lo) {
			close();
			continue;
		}
		up.push(px, hi);
		down.unshift(px, lo);
	}
	close();
}

function LineKey(props: {
	lines: Line[];
	axis: XAxis;
	at: number | null;
	span: { lo: number; hi: number };
	rows: number;
	better: 'less' | 'more' | null;
}): JSX.Element | null {
	const t = theme.value;
	const [all, setAll] = useState(false);
	const lowest = props.better === 'less';
	const rows = props.lines
		.map((l) => {
			const i = props.at === null ? l.curve.x.length - 1 : nearest(l.curve.x, props.at, slack(props.span));
			return { run: l.run, curve: l.curve, i, value: i < 0 ? NaN : props.at === null ? l.curve.last[i]! : l.smoothed[i]! };
		})
		.filter((r) => r.i >= 0)
		.sort((a, b) => (Number.isNaN(a.value) ? 1 : Number.isNaN(b.value) ? -1 : lowest ? a.value - b.value : b.value - a.value));
	const base = rows.find((r) => r.run.baseline);
	const shown = all ? rows : rows.slice(0, props.rows);
	if (base && !shown.includes(base)) shown.push(base);
	if (!props.lines.length) return null;
	return (
		<div class="chart-key">
			<p class="chart-key-head">
				{props.at === null ? 'Last value' : xWord(props.axis, props.at)}
				{rows.length > 1 && ` · ${lowest ? 'lowest' : 'highest'} first`}
			</p>
			<ul>
				{shown.map((r) => {
					const stroke = strokeOf(r.run, t);
					const delta = base && r !== base && base.value ? (r.value - base.value) / Math.abs(base.value) : NaN;
					const better = props.better && isFinite(delta) && delta !== 0 ? (lowest ? delta < 0 : delta > 0) : null;
					return (
						<li key={r.run.run_id}>
							<svg width="18" height="8" aria-hidden="true">
								<line x1="0" y1="4" x2="18" y2="4" stroke={stroke.colour} stroke-width="2.5" stroke-dasharray={stroke.dash.join(' ')} />
							</svg>
							<span class="name" title={`${r.run.name} (${r.run.run_id})`}>
								{r.run.name}
							</span>
							<span class="num" title={`${r.value} at ${xWord(props.axis, r.curve.x[r.i]!)}`}>
								{short(r.value)}
							</span>
							{base && (
								<span class={`delta ${better === null ? '' : better ? 'better' : 'worse'}`}>
									{r === base ? 'baseline' : isFinite(delta) ? `${delta < 0 ? '−' : '+'}${(Math.abs(delta) * 100).toFixed(1)}%` : ''}
								</span>
							)}
						</li>
					);
				})}
			</ul>
			{rows.length > props.rows && (
				<button type="button" class="btn small quiet" onClick={() => setAll(!all)}>
					{all ? `Only the first ${props.rows}` : `${rows.length - shown.length} more`}
				</button>
			)}
		</div>
	);
}

export function lineCells(lines: { run: ChartRun; curve: Curve }[], x: XAxis): Cells {
	const out: Cells = [['run_id', 'run_name', x, 'points', 'min', 'mean', 'max', 'last']];
	for (const { run, curve } of lines)
		for (let i = 0; i < curve.x.length; i++)
			out.push([run.run_id, run.name, curve.x[i], curve.n[i] ?? 1, curve.min[i], curve.mean[i], curve.max[i], curve.last[i]]);
	return out;
}
