/* Parallel coordinates: a line a run over one axis a param or metric. Drag along an axis to keep only runs that pass there;
   the same range can be typed below it. Runs without a value pass through the notch below the axis. */

import type { ComponentChildren, JSX } from 'preact';
import { useMemo, useRef, useState } from 'preact/hooks';
import { columnScale, numberOf, suitsLog, word, type Column } from './axis';
import { ChartCanvas, ChartCard, NoChart, type At } from './card';
import type { Draw } from './export';
import { viridis } from './palette';
import { fit, textWidth } from './pen';
import { RunTip } from './scatter';
import type { Scale } from './scale';
import { strokeOf, theme, type ChartRun } from './theme';
import { short } from './ticks';

export type Brushes = Record<string, [number, number]>;

export interface ParallelProps {
	runs: ChartRun[];
	axes: Column[];
	/** Lines take their colour from this axis; null: each run's own. */
	colour: Column | null;
	brushes: Brushes;
	onBrush: (brushes: Brushes) => void;
	height?: number;
	controls?: ComponentChildren;
}

const LEAST = 96; /* px between axes; more axes than fit scroll sideways */

export function Parallel(props: ParallelProps): JSX.Element {
	const { runs, axes, colour, brushes } = props;
	const height = props.height ?? 400;
	const t = theme.value;
	const [room, setRoom] = useState(0);
	const [hit, setHit] = useState<{ i: number; at: At } | null>(null);
	const [live, setLive] = useState<Brushes | null>(null);
	const grab = useRef<{ axis: number; y: number } | null>(null);
	const active = live ?? brushes;
	const wide = Math.max(room, axes.length * LEAST);

	const kept = useMemo(() => {
		const tests = axes.filter((c) => active[c.name]).map((c) => [c, ...active[c.name]!] as [Column, number, number]);
		return runs.map((_, i) => tests.every(([c, lo, hi]) => c.values[i]! >= lo && c.values[i]! <= hi));
	}, [runs, axes, active]);
	const keptCount = kept.filter(Boolean).length;

	const frame = useMemo(
		() => (w: number, h: number) => {
			const u = theme.value.unit;
			const top = 40 * u,
				foot = h - 34 * u;
			const pad = Math.min(60, w / Math.max(2, axes.length) / 2);
			const at = axes.map((_, k) => (axes.length === 1 ? w / 2 : pad + (k * (w - 2 * pad)) / (axes.length - 1)));
			const scales: Scale[] = axes.map((c) => columnScale(c, foot, top, { log: suitsLog(c) }));
			return { top, foot, none: foot + 14 * u, at, scales };
		},
		[axes, t],
	);
	const lineOf = (i: number, f: ReturnType<typeof frame>): number[] =>
		axes.flatMap((c, k) => {
			const y = f.scales[k]!.to(c.values[i]!);
			return [f.at[k]!, Number.isNaN(y) ? f.none : y];
		});
	const paint = (i: number): string => {
		if (!colour || runs[i]!.baseline) return strokeOf(runs[i]!, theme.value).colour;
		const v = colour.values[i]!;
		if (!isFinite(v)) return theme.value.ink3;
		const span = colour.kind === 'category' ? colour.categories.length - 1 : colour.hi - colour.lo;
		return viridis(span > 0 ? (v - (colour.kind === 'category' ? 0 : colour.lo)) / span : 0.5);
	};

	const draw: Draw = useMemo(
		() => (pen, th, w, h) => {
			const f = frame(w, h);
			const alpha = runs.length > 1000 ? 0.25 : runs.length > 200 ? 0.45 : 0.8;
			runs.forEach((_, i) => {
				if (!kept[i]) pen.path(lineOf(i, f), { stroke: th.strong, width: 1, alpha: 0.35 });
			});
			runs.forEach((run, i) => {
				if (kept[i]) pen.path(lineOf(i, f), { stroke: paint(i), width: run.baseline ? 2.5 : 1.3, alpha: run.baseline ? 1 : alpha });
			});
			axes.forEach((c, k) => {
				const x = f.at[k]!,
					s = f.scales[k]!;
				pen.path([x, f.top, x, f.foot], { stroke: th.ink2 });
				if (c.missing + c.odd > 0) {
					pen.path([x - 5, f.none, x + 5, f.none], { stroke: th.ink2, width: 2 });
					pen.text(x, f.none + 5, 'none', { fill: th.ink3, align: 'center', base: 'top', size: 10 });
				}
				const step = axes.length > 1 ? f.at[1]! - f.at[0]! : w;
				pen.text(x, 10 * th.unit, fit(c.name.replace(/^(params|metrics)\./, ''), step - 10, th, { bold: true }), {
					fill: th.ink,
					align: 'center',
					bold: true,
				});
				if (s.kind === 'log') pen.text(x, 24 * th.unit, 'log', { fill: th.ink3, align: 'center', size: 10 });
				for (const tick of s.ticks(c.kind === 'category' ? 24 : 6)) {
					const y = s.to(tick.value);
					const label = fit(tick.label, step * 0.5, th, { size: 10 });
					pen.path([x - 3, y, x, y], { stroke: th.ink2 });
					/* A ground under the label keeps it readable over the lines. */
					const wideLabel = textWidth(label, th, { size: 10 });
					const left = k === axes.length - 1 && axes.length > 1;
					const lx = left ? x - 7 - wideLabel : x + 5;
					pen.rect(lx - 1.5, y - 6 * th.unit, wideLabel + 3, 12 * th.unit, { fill: th.bg, alpha: 0.78 });
					pen.text(lx, y, label, { fill: th.ink2, size: 10 });
				}
				const b = active[c.name];
				if (b) {
					const a = edge(s, b[0], f, true),
						z = edge(s, b[1], f, false);
					pen.rect(x - 7, Math.min(a, z), 14, Math.max(2, Math.abs(a - z)), { fill: th.accent, alpha: 0.3 });
					pen.rect(x - 7, Math.min(a, z), 14, Math.max(2, Math.abs(a - z)), { stroke: th.accent, width: 1.5 });
				}
			});
		},
		[frame, runs, kept, colour, active, t],
	);
	const over: Draw = useMemo(
		() => (pen, th, w, h) => {
			if (!hit) return;
			const f = frame(w, h),
				line = lineOf(hit.i, f);
			pen.path(line, { stroke: th.bg, width: 5 });
			pen.path(line, { stroke: paint(hit.i), width: 2.5 });
			for (let k = 0; k < line.length; k += 2) pen.dot(line[k]!, line[k + 1]!, 3.5, { fill: th.bg, stroke: paint(hit.i), width: 2 });
		},
		[frame, hit, colour],
	);

	if (axes.length < 2)
		return (
			<ChartCard title="Parallel coordinates" controls={props.controls}>
				<NoChart height={height}>Choose at least two params or metrics to draw between.</NoChart>
			</ChartCard>
		);

	const axisAt = (p: At, w: number): number => {
		const f = frame(w, height);
		let best = -1,
			gap = 18;
		f.at.forEach((x, k) => {
			if (Math.abs(x - p.x) < gap) {
				gap = Math.abs(x - p.x);
				best = k;
			}
		});
		return best;
	};
	const set = (name: string, range: [number, number] | null) => {
		const next = { ...brushes };
		delete next[name];
		if (range) next[name] = range;
		props.onBrush(next);
	};
	return (
		<ChartCard
			title="Parallel coordinates"
			controls={
				<>
					{Object.keys(brushes).length > 0 && (
						<button type="button" class="btn small" onClick={() => props.onBrush({})}>
							Clear ranges
						</button>
					)}
					{props.controls}
				</>
			}
			draw={draw}
			width={wide}
			height={height}
			csv={() => [
				['run_id', 'run_name', ...axes.map((c) => c.name)],
				...runs.flatMap((r, i) => (kept[i] ? [[r.run_id, r.name, ...axes.map((c) => c.raw[i])]] : [])),
			]}
			note={`${keptCount} of ${runs.length} runs in the ranges · drag along an axis, or type below${colour ? ` · colour: ${colour.name}, dark low, light high` : ''}`}
		>
			<Measured set={setRoom}>
				<div class="chart-scroll">
					<div style={{ width: wide > room ? `${wide}px` : '100%' }}>
						<ChartCanvas
							height={height}
							label={`Parallel coordinates: ${runs.length} runs over ${axes.length} axes. The ranges can be typed in the fields below.`}
							draw={draw}
							over={over}
							onPoint={(p, w) => {
								if (!p) return setHit(null);
								setHit(nearestLine(p, runs, kept, frame(w, height), lineOf));
							}}
							onPress={(p, w) => {
								const axis = axisAt(p, w);
								grab.current = axis < 0 ? null : { axis, y: p.y };
							}}
							onDrag={(p, w, done) => {
								const g = grab.current;
								if (!g) return;
								const f = frame(w, height),
									s = f.scales[g.axis]!,
									c = axes[g.axis]!;
								const hold = (y: number) => Math.max(f.top - 4, Math.min(f.foot + 4, y));
								let range: [number, number] | null = null;
								if (Math.abs(p.y - g.y) > 4) {
									const ends = [s.from(hold(p.y)), s.from(hold(g.y))].sort((a, b) => a - b);
									range =
										c.kind === 'category'
											? [Math.ceil(ends[0]! - 0.25), Math.floor(ends[1]! + 0.25)]
											: [Number(ends[0]!.toPrecision(4)), Number(ends[1]!.toPrecision(4))];
								}
								const next = { ...brushes };
								delete next[c.name];
								if (range) next[c.name] = range;
								setHit(null);
								if (done) {
									grab.current = null;
									setLive(null);
									props.onBrush(next);
								} else setLive(next);
							}}
							tipAt={hit?.at}
							tip={hit && <RunTip run={runs[hit.i]!} rows={axes.map((c) => [c.name.replace(/^(params|metrics)\./, ''), word(c, hit.i)])} />}
						/>
						<div class="brush-row">
							{axes.map((c, k) => {
								const f = frame(wide, height);
								const room = Math.min(96, (axes.length > 1 ? f.at[1]! - f.at[0]! : 96) - 6);
								return (
									<BrushFields
										key={c.name}
										axis={c}
										at={f.at[k]! - room / 2}
										width={room}
										range={brushes[c.name] ?? null}
										set={(r) => set(c.name, r)}
									/>
								);
							})}
						</div>
					</div>
				</div>
			</Measured>
		</ChartCard>
	);
}

function edge(s: Scale, v: number, f: { top: number; foot: number }, low: boolean): number {
	const y = s.to(s.kind === 'category' ? v + (low ? -0.4 : 0.4) : v);
	return Number.isNaN(y) ? (low ? f.foot : f.top) : Math.max(f.top - 6, Math.min(f.foot + 6, y));
}

function nearestLine(
	p: At,
	runs: ChartRun[],
	kept: boolean[],
	f: { at: number[] },
	lineOf: (i: number, f: never) => number[],
): { i: number; at: At } | null {
	let best = -1,
		gap = 8;
	let k = f.at.findIndex((x) => x > p.x);
	k = k < 0 ? f.at.length - 1 : Math.max(1, k);
	for (let i = 0; i < runs.length; i++) {
		if (!kept[i]) continue;
		const line = lineOf(i, f as never);
		const x1 = line[2 * k - 2]!,
			y1 = line[2 * k - 1]!,
			x2 = line[2 * k]!,
			y2 = line[2 * k + 1]!;
		const w = Math.max(0, Math.min(1, (p.x - x1) / (x2 - x1 || 1)));
		const d = Math.abs(y1 + (y2 - y1) * w - p.y);
		if (d < gap) {
			gap = d;
			best = i;
		}
	}
	return best < 0 ? null : { i: best, at: p };
}

function BrushFields(props: {
	axis: Column;
	at: number;
	width: number;
	range: [number, number] | null;
	set: (r: [number, number] | null) => void;
}): JSX.Element {
	const { axis, range } = props;
	const name = axis.name.replace(/^(params|metrics)\./, '');
	if (axis.kind === 'category')
		return (
			<div class="brush" style={{ left: `${props.at}px`, width: `${props.width}px` }}>
				{[0, 1].map((end) => (
					<select
						key={end}
						class="field"
						aria-label={`${name} ${end ? 'to' : 'from'}`}
						value={range ? String(range[end]) : ''}
						onChange={(e) => {
							const v = e.currentTarget.value;
							if (v === '') return props.set(null);
							const next: [number, number] = range ? [...range] : [0, axis.categories.length - 1];
							next[end] = Number(v);
							props.set(next[0] <= next[1] ? next : [next[end]!, next[end]!]);
						}}
					>
						<option value="">{end ? 'to' : 'from'}</option>
						{axis.categories.map((c, i) => (
							<option key={c} value={String(i)} selected={range !== null && range[end] === i}>
								{c}
							</option>
						))}
					</select>
				))}
			</div>
		);
	return (
		<div class="brush" style={{ left: `${props.at}px`, width: `${props.width}px` }}>
			{[0, 1].map((end) => (
				<input
					key={end}
					class="field"
					type="text"
					inputMode="decimal"
					aria-label={`${name} ${end ? 'to' : 'from'}`}
					placeholder={short(end ? axis.hi : axis.lo)}
					value={range && isFinite(range[end]!) ? String(range[end]) : ''}
					onChange={(e) => {
						const v = numberOf(e.currentTarget.value);
						const next: [number, number] = range ? [...range] : [-Infinity, Infinity];
						next[end] = v === undefined || Number.isNaN(v) ? (end ? Infinity : -Infinity) : v;
						props.set(next[0] === -Infinity && next[1] === Infinity ? null : next);
					}}
				/>
			))}
		</div>
	);
}

function Measured(props: { set: (w: number) => void; children: ComponentChildren }): JSX.Element {
	return (
		<div
			ref={(node) => {
				if (!node || (node as HTMLElement & { watched?: boolean }).watched) return;
				(node as HTMLElement & { watched?: boolean }).watched = true;
				new ResizeObserver(() => props.set(Math.floor(node.clientWidth))).observe(node);
			}}
		>
			{props.children}
		</div>
	);
}
