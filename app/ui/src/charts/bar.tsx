/* One bar a run, longest first: for metrics with a single value. */

import type { ComponentChildren, JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { type Column } from './axis';
import { ChartCanvas, ChartCard, NoChart, type At } from './card';
import type { Draw } from './export';
import { fit, textWidth } from './pen';
import { scaleOf } from './scale';
import { RunTip } from './scatter';
import { strokeOf, theme, type ChartRun } from './theme';
import { short } from './ticks';

export interface BarProps {
	title?: string;
	runs: ChartRun[];
	y: Column;
	/** Smallest first. */
	lowest?: boolean;
	max?: number;
	controls?: ComponentChildren;
	note?: ComponentChildren;
}

const ROW = 22;

export function Bar(props: BarProps): JSX.Element {
	const { runs, y } = props;
	const t = theme.value;
	const [width, setWidth] = useState(0);
	const [hit, setHit] = useState<{ i: number; at: At } | null>(null);
	const [all, setAll] = useState(false);
	const title = props.title ?? y.name;
	const max = props.max ?? 20;

	const order = useMemo(() => {
		const rank = (i: number) => (Number.isNaN(y.values[i]!) ? Infinity : props.lowest ? y.values[i]! : -y.values[i]!);
		return runs
			.map((_, i) => i)
			.filter((i) => y.raw[i] !== null && y.raw[i] !== undefined && y.kind === 'number')
			.sort((a, b) => rank(a) - rank(b));
	}, [runs, y, props.lowest]);
	const shown = useMemo(() => (all ? order.slice(0, 500) : order.slice(0, max)), [order, all, max]);
	const height = shown.length * ROW * t.unit + 8;

	const frame = useMemo(
		() => (w: number) => {
			const th = theme.value;
			const names = Math.min(w * 0.4, Math.max(30, ...shown.map((i) => textWidth(runs[i]!.name, th)))) + 12;
			const room = Math.max(20, ...shown.map((i) => textWidth(short(y.values[i]!), th, { mono: true }))) + 14;
			const lo = Math.min(0, y.lo),
				hi = Math.max(0, y.hi);
			return { names, room, xs: scaleOf(lo, hi > lo ? hi : lo + 1, names, Math.max(names + 20, w - room)) };
		},
		[shown, y, runs, t],
	);
	const draw: Draw = useMemo(
		() => (pen, th, w) => {
			const { names, xs } = frame(w);
			const row = ROW * th.unit;
			shown.forEach((i, k) => {
				const run = runs[i]!,
					v = y.values[i]!,
					cy = 4 + (k + 0.5) * row;
				const colour = strokeOf(run, th).colour;
				pen.text(names - 8, cy, fit(run.name, names - 12, th), { fill: th.ink2, align: 'right' });
				if (isFinite(v)) {
					const a = xs.to(0),
						b = xs.to(v);
					pen.rect(Math.min(a, b), cy - row * 0.32, Math.max(1, Math.abs(b - a)), row * 0.64, { fill: colour });
				}
				pen.text((isFinite(v) ? Math.max(xs.to(v), xs.to(0)) : xs.to(0)) + 6, cy, short(v), { fill: th.ink, mono: true });
			});
			pen.path([xs.to(0), 2, xs.to(0), 6 + shown.length * row], { stroke: th.strong });
		},
		[frame, shown],
	);

	if (!order.length)
		return (
			<ChartCard title={title} controls={props.controls}>
				<NoChart height={120}>No run has a number for {y.name}. Choose another metric.</NoChart>
			</ChartCard>
		);
	return (
		<ChartCard
			title={title}
			controls={props.controls}
			draw={draw}
			width={width}
			height={height}
			csv={() => [['run_id', 'run_name', y.name], ...order.map((i) => [runs[i]!.run_id, runs[i]!.name, y.raw[i]])]}
			note={
				<>
					{`${props.lowest ? 'Smallest' : 'Greatest'} first`}
					{y.odd > 0 && ` · ${y.odd} not a finite number`}
					{props.note}
					{order.length > max && (
						<>
							{' '}
							<button type="button" class="btn small quiet" onClick={() => setAll(!all)}>
								{all ? `Only the first ${max}` : `All ${order.length} runs`}
							</button>
						</>
					)}
				</>
			}
		>
			<ChartCanvas
				height={height}
				label={`${title}: ${order.length} runs, ${short(y.values[order[0]!]!)} first`}
				draw={draw}
				onWidth={setWidth}
				onPoint={(p) => {
					const i = p ? shown[Math.floor((p.y - 4) / (ROW * t.unit))] : undefined;
					setHit(p && i !== undefined ? { i, at: p } : null);
				}}
				tipAt={hit?.at}
				tip={hit && <RunTip run={runs[hit.i]!} rows={[[y.name, y.raw[hit.i] === undefined ? 'none' : String(y.raw[hit.i])]]} />}
			/>
		</ChartCard>
	);
}
