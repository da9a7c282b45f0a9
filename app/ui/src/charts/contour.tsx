/* Two params and a metric as a surface: linear between the runs, inside their hull only, every run drawn and hoverable. */

import type { ComponentChildren, JSX } from 'preact';
import { useMemo, useRef, useState, useEffect } from 'preact/hooks';
import { columnScale, word, type Column } from './axis';
import { ChartCanvas, ChartCard, NoChart, type At } from './card';
import type { Draw } from './export';
import { bandsOf, fieldOf, isolineOf } from './field';
import { viridis } from './palette';
import { areaOf, drawFrame } from './plot';
import { scaleOf } from './scale';
import { RunTip } from './scatter';
import { theme, type ChartRun } from './theme';
import { niceTicks, short, tickLabels } from './ticks';

export interface ContourProps {
	runs: ChartRun[];
	x: Column;
	y: Column;
	z: Column;
	logX?: boolean;
	logY?: boolean;
	/** Light is low instead of high. */
	reverse?: boolean;
	lowest?: boolean;
	height?: number;
	controls?: ComponentChildren;
}

const LEVELS = 14;
const LINES_MAX = 150;
const BAR = 74; /* room for the colour bar at the right */

export function Contour(props: ContourProps): JSX.Element {
	const { runs, x, y, z } = props;
	const height = props.height ?? 420;
	const t = theme.value;
	const [width, setWidth] = useState(0);
	const [hit, setHit] = useState<{ i: number; n: number; at: At } | { z: number; x: number; y: number; at: At } | null>(null);
	const hook = useRef<HTMLDivElement>(null);
	const title = `${z.name} over ${x.name} and ${y.name}`;
	const logX = Boolean(props.logX) && x.positive,
		logY = Boolean(props.logY) && y.positive;

	const field = useMemo(
		() =>
			fieldOf(x.values, y.values, z.values, {
				xName: x.name,
				yName: y.name,
				fx: logX ? Math.log10 : undefined,
				fy: logY ? Math.log10 : undefined,
			}),
		[x, y, z, logX, logY],
	);
	const levels = useMemo(() => {
		if (!field.ok || !(field.zhi > field.zlo)) return [];
		const inner = niceTicks(field.zlo, field.zhi, LEVELS).filter((v) => v > field.zlo && v < field.zhi);
		return [field.zlo, ...inner, field.zhi];
	}, [field]);
	const colourOf = (v: number): string => {
		const w = field.ok && field.zhi > field.zlo ? (v - field.zlo) / (field.zhi - field.zlo) : 0.5;
		return viridis(props.reverse ? 1 - w : w);
	};

	const frame = useMemo(
		() => (w: number, h: number) => {
			const names = { x: x.name, y: y.name };
			const area = areaOf(w, h, columnScale(y, h, 0, { log: logY, pad: 0.05 }), theme.value, names, BAR * theme.value.unit);
			return {
				area,
				names,
				xs: columnScale(x, area.x, area.x + area.w, { log: logX, pad: 0.05 }),
				ys: columnScale(y, area.y + area.h, area.y, { log: logY, pad: 0.05 }),
			};
		},
		[x, y, logX, logY, t],
	);

	/* For tests and for anyone at the console: the surface's value at a place, and where that place is drawn. */
	useEffect(() => {
		if (hook.current)
			(hook.current as HTMLDivElement & { contour?: unknown }).contour = {
				ok: field.ok,
				reason: field.ok ? null : field.reason,
				points: field.points.map((p) => ({ x: p.x, y: p.y, z: p.z, n: p.members.length })),
				at: field.ok ? field.at : () => NaN,
				place: (vx: number, vy: number) => {
					const { xs, ys } = frame(width, height);
					return [xs.to(vx), ys.to(vy)];
				},
			};
	}, [field, frame, width]);

	const draw: Draw = useMemo(
		() => (pen, th, w, h) => {
			if (!field.ok) return;
			const { area, xs, ys, names } = frame(w, h);
			drawFrame(pen, th, area, xs, ys, names);
			const px = field.points.map((p) => xs.to(p.x)),
				py = field.points.map((p) => ys.to(p.y));
			for (const band of bandsOf(field, levels, px, py)) {
				const colour = colourOf((band.lo + band.hi) / 2);
				/* The thin edge in its own colour hides the seams between triangles. */
				for (const polygon of band.polygons) pen.path(polygon, { fill: colour, stroke: colour, width: 1, close: true });
			}
			/* Lines help the eye on a calm surface and hide one of many points. */
			for (const level of field.points.length <= LINES_MAX ? levels.slice(1, -1) : []) {
				const line = isolineOf(field, level, px, py);
				const broken: number[] = [];
				for (let i = 0; i < line.length; i += 4) broken.push(line[i]!, line[i + 1]!, line[i + 2]!, line[i + 3]!, NaN, NaN);
				pen.path(broken, { stroke: th.bg, width: 0.8, alpha: 0.4 });
			}
			const r = field.points.length > 300 ? 2.2 : 4;
			field.points.forEach((p, i) => pen.dot(px[i]!, py[i]!, r, { fill: colourOf(p.z), stroke: th.ink, width: r > 3 ? 1.5 : 0.7 }));
			bar();

			function bar(): void {
				if (!field.ok) return;
				const bx = area.x + area.w + 14,
					bw = 14;
				const zs = scaleOf(field.zlo, field.zhi, area.y + area.h, area.y + 16);
				const steps = levels.length ? levels : [zs.lo, zs.hi];
				for (let i = 0; i + 1 < steps.length; i++)
					pen.rect(bx, zs.to(steps[i + 1]!), bw, zs.to(steps[i]!) - zs.to(steps[i + 1]!) + 0.4, {
						fill: colourOf((steps[i]! + steps[i + 1]!) / 2),
					});
				const ticks = field.zhi > field.zlo ? niceTicks(field.zlo, field.zhi, Math.max(3, Math.floor(area.h / 45))) : [field.zlo];
				const labels = tickLabels(ticks);
				ticks.forEach((v, i) => pen.text(bx + bw + 5, zs.to(v), labels[i]!, { fill: th.ink3 }));
				pen.text(bx - 4, area.y + 2, z.name.length > 12 ? z.name.slice(0, 11) + '…' : z.name, { fill: th.ink2, base: 'top' });
			}
		},
		[field, levels, frame, props.reverse],
	);
	const over: Draw = useMemo(
		() => (pen, th) => {
			if (hit)
				pen.dot(
					hit.at.x,
					hit.at.y,
					'i' in hit ? 6 : 2.5,
					'i' in hit ? { fill: colourOf(z.values[hit.i]!), stroke: th.accent, width: 3 } : { fill: th.bg, stroke: th.ink, width: 1 },
				);
		},
		[hit, field, props.reverse],
	);

	if (!field.ok)
		return (
			<div ref={hook} data-contour={field.reason}>
				<ChartCard title={title} controls={props.controls}>
					<NoChart height={height}>
						<b>{field.message}</b>
						<br />
						{field.points.length} distinct {field.points.length === 1 ? 'point' : 'points'} from {runs.length}{' '}
						{runs.length === 1 ? 'run' : 'runs'}
						{field.skipped ? `, ${field.skipped} without all three values` : ''}. Choose another x or y, or add runs that differ in both.
						Scatter shows these runs as they are.
					</NoChart>
				</ChartCard>
			</div>
		);

	const best = field.points.reduce((a, b) => ((props.lowest ? b.z < a.z : b.z > a.z) ? b : a));
	const several = field.points.filter((p) => p.members.length > 1).length;
	return (
		<div ref={hook} data-contour="ok">
			<ChartCard
				title={title}
				controls={props.controls}
				draw={draw}
				width={width}
				height={height}
				csv={() => [
					['run_id', 'run_name', x.name, y.name, z.name],
					...runs.map((r, i) => [r.run_id, r.name, x.raw[i], y.raw[i], z.raw[i]]),
				]}
				note={[
					`${field.points.length} points, linear between them, nothing drawn outside`,
					several ? `${several} are means of several runs` : '',
					field.skipped ? `${field.skipped} runs without all three values` : '',
					`${props.lowest ? 'lowest' : 'highest'} ${short(best.z)} at ${x.name} ${short(best.x)}, ${y.name} ${short(best.y)}`,
					field.zhi > field.zlo ? '' : `${z.name} is ${short(field.zlo)} everywhere`,
				]
					.filter(Boolean)
					.join(' · ')}
			>
				<ChartCanvas
					height={height}
					label={`${title}: ${field.points.length} points, from ${short(field.zlo)} to ${short(field.zhi)}`}
					draw={draw}
					over={over}
					onWidth={setWidth}
					onPoint={(p, w) => {
						if (!p) return setHit(null);
						const { xs, ys } = frame(w, height);
						let found: { i: number; n: number; at: At } | null = null,
							gap = 14 ** 2;
						for (const point of field.points) {
							const at = { x: xs.to(point.x), y: ys.to(point.y) };
							const d = (at.x - p.x) ** 2 + (at.y - p.y) ** 2;
							if (d < gap) {
								gap = d;
								found = { i: point.members[0]!, n: point.members.length, at };
							}
						}
						if (found) return setHit(found);
						const vx = xs.from(p.x),
							vy = ys.from(p.y),
							v = field.at(vx, vy);
						setHit(Number.isNaN(v) ? null : { z: v, x: vx, y: vy, at: p });
					}}
					tipAt={hit?.at}
					tip={
						hit &&
						('i' in hit ? (
							<RunTip
								run={runs[hit.i]!}
								more={hit.n - 1}
								rows={[
									[x.name, word(x, hit.i)],
									[y.name, word(y, hit.i)],
									[hit.n > 1 ? `${z.name} (mean)` : z.name, short(field.points.find((p) => p.members[0] === hit.i)?.z ?? NaN)],
								]}
							/>
						) : (
							<>
								<span class="muted">Between runs</span>
								<dl>
									<div>
										<dt>{x.name}</dt>
										<dd>{short(hit.x)}</dd>
									</div>
									<div>
										<dt>{y.name}</dt>
										<dd>{short(hit.y)}</dd>
									</div>
									<div>
										<dt>{z.name}</dt>
										<dd>{short(hit.z)}</dd>
									</div>
								</dl>
							</>
						))
					}
				/>
			</ChartCard>
		</div>
	);
}
