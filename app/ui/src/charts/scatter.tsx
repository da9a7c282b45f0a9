/* One point a run: x against y, coloured by run or by a third value. */

import type { ComponentChildren, JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { columnScale, word, type Column } from './axis';
import { ChartCanvas, ChartCard, NoChart, type At } from './card';
import type { Draw } from './export';
import { viridis } from './palette';
import { areaOf, drawFrame } from './plot';
import { strokeOf, theme, type ChartRun } from './theme';

export interface ScatterProps {
	runs: ChartRun[];
	x: Column;
	y: Column;
	colour?: Column | null;
	logX?: boolean;
	logY?: boolean;
	height?: number;
	controls?: ComponentChildren;
	onRun?: (run_id: string) => void;
}

export function Scatter(props: ScatterProps): JSX.Element {
	const { runs, x, y, colour } = props;
	const height = props.height ?? 380;
	const t = theme.value;
	const [width, setWidth] = useState(0);
	const [hit, setHit] = useState<{ i: number; at: At } | null>(null);
	const title = `${y.name} by ${x.name}`;

	const frame = useMemo(
		() => (w: number, h: number) => {
			const ys0 = columnScale(y, h, 0, { log: props.logY, pad: 0.06 });
			const area = areaOf(w, h, ys0, theme.value, { x: x.name, y: y.name });
			return {
				area,
				xs: columnScale(x, area.x, area.x + area.w, { log: props.logX, pad: 0.05 }),
				ys: columnScale(y, area.y + area.h, area.y, { log: props.logY, pad: 0.06 }),
			};
		},
		[x, y, props.logX, props.logY, t],
	);
	const placed = useMemo(() => runs.map((_, i) => i).filter((i) => isFinite(x.values[i]!) && isFinite(y.values[i]!)), [runs, x, y]);

	const fill = (i: number): string => {
		if (!colour || runs[i]!.baseline) return strokeOf(runs[i]!, theme.value).colour;
		const v = colour.values[i]!;
		if (!isFinite(v)) return theme.value.ink3;
		return viridis(
			colour.kind === 'category'
				? v / Math.max(1, colour.categories.length - 1)
				: colour.hi > colour.lo
					? (v - colour.lo) / (colour.hi - colour.lo)
					: 0.5,
		);
	};
	const draw: Draw = useMemo(
		() => (pen, th, w, h) => {
			const { area, xs, ys } = frame(w, h);
			drawFrame(pen, th, area, xs, ys, { x: x.name, y: y.name });
			const r = placed.length > 2000 ? 2.2 : placed.length > 200 ? 3.2 : 4.5;
			for (const i of placed)
				pen.dot(xs.to(x.values[i]!), ys.to(y.values[i]!), r, {
					fill: fill(i),
					stroke: th.bg,
					width: r > 3 ? 1 : 0.5,
					alpha: placed.length > 500 ? 0.75 : 0.95,
				});
		},
		[frame, placed, colour, t],
	);
	const over: Draw = useMemo(
		() => (pen, th, w, h) => {
			if (!hit) return;
			const { area, xs, ys } = frame(w, h);
			const px = xs.to(x.values[hit.i]!),
				py = ys.to(y.values[hit.i]!);
			pen.path([px, area.y, px, area.y + area.h, NaN, NaN, area.x, py, area.x + area.w, py], { stroke: th.ink3, dash: [2, 2] });
			pen.dot(px, py, 6, { fill: fill(hit.i), stroke: th.ink, width: 2 });
		},
		[frame, hit],
	);

	if (!placed.length)
		return (
			<ChartCard title={title} controls={props.controls}>
				<NoChart height={height}>
					No run has both {x.name} and {y.name}. Choose another x or y.
				</NoChart>
			</ChartCard>
		);
	const left = runs.length - placed.length;
	return (
		<ChartCard
			title={title}
			controls={props.controls}
			draw={draw}
			runs={colour ? undefined : runs}
			width={width}
			height={height}
			csv={() => [
				['run_id', 'run_name', x.name, y.name, ...(colour ? [colour.name] : [])],
				...runs.map((r, i) => [r.run_id, r.name, x.raw[i], y.raw[i], ...(colour ? [colour.raw[i]] : [])]),
			]}
			note={[
				`${placed.length} of ${runs.length} runs`,
				left ? `${left} without one of the two` : '',
				colour ? `colour: ${colour.name}, dark low, light high` : '',
			]
				.filter(Boolean)
				.join(' · ')}
		>
			<ChartCanvas
				height={height}
				label={`${title}: ${placed.length} runs`}
				draw={draw}
				over={over}
				onWidth={setWidth}
				onPoint={(p, w) => setHit(p && nearestPoint(placed, p, frame(w, height), x, y))}
				onDouble={() => hit && props.onRun?.(runs[hit.i]!.run_id)}
				tipAt={hit?.at}
				tip={hit && <RunTip run={runs[hit.i]!} rows={[x, y, ...(colour ? [colour] : [])].map((c) => [c.name, word(c, hit.i)])} />}
			/>
		</ChartCard>
	);
}

function nearestPoint(
	placed: number[],
	p: At,
	frame: { xs: { to(v: number): number }; ys: { to(v: number): number } },
	x: Column,
	y: Column,
): { i: number; at: At } | null {
	let best = -1,
		gap = 24 ** 2;
	for (const i of placed) {
		const d = (frame.xs.to(x.values[i]!) - p.x) ** 2 + (frame.ys.to(y.values[i]!) - p.y) ** 2;
		if (d < gap) {
			gap = d;
			best = i;
		}
	}
	return best < 0 ? null : { i: best, at: { x: frame.xs.to(x.values[best]!), y: frame.ys.to(y.values[best]!) } };
}

/** What a hover says of one run. */
export function RunTip(props: { run: ChartRun; rows: [string, string][]; more?: number }): JSX.Element {
	return (
		<>
			<b>{props.run.name}</b>
			{props.more ? <span class="muted"> and {props.more} more here</span> : null}
			<dl>
				{props.rows.map(([name, v]) => (
					<div key={name}>
						<dt>{name}</dt>
						<dd>{v}</dd>
					</div>
				))}
			</dl>
		</>
	);
}
