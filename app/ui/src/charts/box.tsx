/* The spread of a metric for each value of a param: five numbers, and every run as a point beside them. */

import type { ComponentChildren, JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { natural, word, type Column } from './axis';
import { ChartCanvas, ChartCard, NoChart, type At } from './card';
import type { Draw } from './export';
import { areaOf, drawFrame } from './plot';
import { scaleOf } from './scale';
import { RunTip } from './scatter';
import { strokeOf, theme, type ChartRun } from './theme';
import { short } from './ticks';

export interface FiveNumbers {
	lo: number;
	q1: number;
	median: number;
	q3: number;
	hi: number;
	n: number;
	mean: number;
}

/** Quartiles by linear interpolation, as numpy's; whiskers to the furthest value within 1.5 times the box. */
export function fiveNumbers(values: number[]): FiveNumbers {
	const v = [...values].sort((a, b) => a - b);
	const n = v.length;
	const at = (p: number) => {
		const k = p * (n - 1),
			i = Math.floor(k);
		return i + 1 < n ? v[i]! + (v[i + 1]! - v[i]!) * (k - i) : v[i]!;
	};
	const q1 = at(0.25),
		q3 = at(0.75),
		reach = 1.5 * (q3 - q1);
	return {
		q1,
		q3,
		median: at(0.5),
		n,
		lo: v.find((one) => one >= q1 - reach) ?? q1,
		hi: [...v].reverse().find((one) => one <= q3 + reach) ?? q3,
		mean: v.reduce((a, b) => a + b, 0) / n,
	};
}

export interface BoxProps {
	runs: ChartRun[];
	/** Null: all runs in one box. */
	group: Column | null;
	y: Column;
	logY?: boolean;
	height?: number;
	controls?: ComponentChildren;
}

const GROUPS_MAX = 60;

export function Box(props: BoxProps): JSX.Element {
	const { runs, group, y } = props;
	const height = props.height ?? 380;
	const t = theme.value;
	const [width, setWidth] = useState(0);
	const [hit, setHit] = useState<{ i: number; at: At } | null>(null);
	const title = group ? `${y.name} by ${group.name}` : y.name;

	const groups = useMemo(() => {
		const by = new Map<string, number[]>();
		runs.forEach((_, i) => {
			if (!isFinite(y.values[i]!)) return;
			const name = group
				? group.raw[i] === null || group.raw[i] === undefined || group.raw[i] === ''
					? 'none'
					: String(group.raw[i])
				: 'all runs';
			const list = by.get(name);
			if (list) list.push(i);
			else by.set(name, [i]);
		});
		return [...by]
			.sort((a, b) => natural(a[0], b[0]))
			.map(([name, members]) => ({ name, members, five: fiveNumbers(members.map((i) => y.values[i]!)) }));
	}, [runs, group, y]);
	const shown = groups.slice(0, GROUPS_MAX);

	const frame = useMemo(
		() => (w: number, h: number) => {
			const opt = { kind: props.logY && y.positive ? ('log' as const) : ('linear' as const), pad: 0.06 };
			const names = { x: group?.name, y: y.name };
			const area = areaOf(w, h, scaleOf(y.lo, y.hi, h, 0, opt), theme.value, names);
			const xs = scaleOf(0, 0, area.x, area.x + area.w, { kind: 'category', categories: shown.map((g) => g.name) });
			const step = area.w / Math.max(1, shown.length);
			return { area, names, xs, ys: scaleOf(y.lo, y.hi, area.y + area.h, area.y, opt), half: Math.min(34, step * 0.32) };
		},
		[shown, y, props.logY, t],
	);
	/* Points beside one another where they would hide each other: by their place in the list, the same each time. */
	const shift = (k: number, half: number) => ((((k * 7) % 11) / 10) * 2 - 1) * half * 0.7;

	const draw: Draw = useMemo(
		() => (pen, th, w, h) => {
			const { area, xs, ys, half, names } = frame(w, h);
			drawFrame(pen, th, area, xs, ys, names);
			shown.forEach((g, k) => {
				const x = xs.to(k),
					f = g.five;
				if (f.n > 1) {
					const top = ys.to(f.q3),
						foot = ys.to(f.q1);
					pen.path(
						[
							x,
							ys.to(f.hi),
							x,
							top,
							NaN,
							NaN,
							x,
							foot,
							x,
							ys.to(f.lo),
							NaN,
							NaN,
							x - half / 2,
							ys.to(f.hi),
							x + half / 2,
							ys.to(f.hi),
							NaN,
							NaN,
							x - half / 2,
							ys.to(f.lo),
							x + half / 2,
							ys.to(f.lo),
						],
						{ stroke: th.ink3 },
					);
					pen.rect(x - half, top, 2 * half, Math.max(1, foot - top), { fill: th.accent, alpha: 0.13 });
					pen.rect(x - half, top, 2 * half, Math.max(1, foot - top), { stroke: th.ink3 });
					pen.path([x - half, ys.to(f.median), x + half, ys.to(f.median)], { stroke: th.ink, width: 2 });
				}
				g.members.forEach((i, m) =>
					pen.dot(x + (f.n > 1 ? shift(m, half) : 0), ys.to(y.values[i]!), g.members.length > 200 ? 1.8 : 3, {
						fill: strokeOf(runs[i]!, th).colour,
						alpha: 0.85,
					}),
				);
			});
		},
		[frame, shown, runs],
	);
	const over: Draw = useMemo(
		() => (pen, th, _w, _h) => {
			if (hit) pen.dot(hit.at.x, hit.at.y, 5, { fill: strokeOf(runs[hit.i]!, th).colour, stroke: th.ink, width: 2 });
		},
		[hit, runs],
	);

	if (!groups.length)
		return (
			<ChartCard title={title} controls={props.controls}>
				<NoChart height={height}>No run has a number for {y.name}. Choose another metric.</NoChart>
			</ChartCard>
		);
	const hitGroup = hit ? shown.find((g) => g.members.includes(hit.i)) : undefined;
	return (
		<ChartCard
			title={title}
			controls={props.controls}
			draw={draw}
			width={width}
			height={height}
			csv={() => [
				[group?.name ?? 'group', 'runs', 'least', 'whisker_low', 'q1', 'median', 'mean', 'q3', 'whisker_high', 'greatest'],
				...groups.map((g) => {
					const v = g.members.map((i) => y.values[i]!);
					return [g.name, g.five.n, Math.min(...v), g.five.lo, g.five.q1, g.five.median, g.five.mean, g.five.q3, g.five.hi, Math.max(...v)];
				}),
			]}
			note={`Box: quartiles and median; whiskers: furthest run within 1.5 times the box; points: the runs.${groups.length > shown.length ? ` First ${shown.length} of ${groups.length} groups.` : ''}`}
		>
			<ChartCanvas
				height={height}
				label={`${title}: ${shown.length} groups`}
				draw={draw}
				over={over}
				onWidth={setWidth}
				onPoint={(p, w) => {
					if (!p) return setHit(null);
					const { xs, ys, half } = frame(w, height);
					let best: { i: number; at: At } | null = null,
						gap = 18 ** 2;
					shown.forEach((g, k) =>
						g.members.forEach((i, m) => {
							const at = { x: xs.to(k) + (g.five.n > 1 ? shift(m, half) : 0), y: ys.to(y.values[i]!) };
							const d = (at.x - p.x) ** 2 + (at.y - p.y) ** 2;
							if (d < gap) {
								gap = d;
								best = { i, at };
							}
						}),
					);
					setHit(best);
				}}
				tipAt={hit?.at}
				tip={
					hit &&
					hitGroup && (
						<RunTip
							run={runs[hit.i]!}
							rows={[
								[y.name, word(y, hit.i)],
								...(group ? [[group.name, hitGroup.name] as [string, string]] : []),
								['median of group', short(hitGroup.five.median)],
								['runs in group', String(hitGroup.five.n)],
							]}
						/>
					)
				}
			/>
		</ChartCard>
	);
}
