/* GeoJSON as a drawing: longitude and latitude on a plain grid, fitted to what is there. No map under it: nothing is fetched. */

import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { Bar, part, sizeWord, Status, textOf, useFile, type ViewerProps } from './frame';
import { parsePython } from './python-json';
import { Lines } from './text';

const MAX = 10_000_000;
const SHAPES = 20_000;
const WIDTH = 800;

interface Shape {
	kind: 'point' | 'line' | 'area';
	rings: number[][][];
	words: string;
}

interface Geometry {
	type: string;
	coordinates?: unknown;
	geometries?: Geometry[];
}

function shapesOf(value: unknown): Shape[] {
	const out: Shape[] = [];
	const add = (g: Geometry | null | undefined, words: string): void => {
		if (!g || out.length >= SHAPES) return;
		const c = g.coordinates as never;
		switch (g.type) {
			case 'Point':
				out.push({ kind: 'point', rings: [[c]], words });
				break;
			case 'MultiPoint':
				out.push({ kind: 'point', rings: [c], words });
				break;
			case 'LineString':
				out.push({ kind: 'line', rings: [c], words });
				break;
			case 'MultiLineString':
				out.push({ kind: 'line', rings: c, words });
				break;
			case 'Polygon':
				out.push({ kind: 'area', rings: c, words });
				break;
			case 'MultiPolygon':
				for (const rings of c as number[][][][]) out.push({ kind: 'area', rings, words });
				break;
			case 'GeometryCollection':
				g.geometries?.forEach((one) => add(one, words));
				break;
		}
	};
	const v = value as {
		type?: string;
		features?: { geometry?: Geometry; properties?: Record<string, unknown> }[];
		geometry?: Geometry;
		properties?: Record<string, unknown>;
	};
	const words = (p?: Record<string, unknown> | null) =>
		Object.entries(p ?? {})
			.slice(0, 8)
			.map(([k, x]) => `${k}: ${String(x)}`)
			.join('\n');
	if (v?.type === 'FeatureCollection') for (const f of v.features ?? []) add(f.geometry, words(f.properties));
	else if (v?.type === 'Feature') add(v.geometry, words(v.properties));
	else add(value as Geometry, '');
	return out;
}

export default function Geo(props: ViewerProps): JSX.Element {
	const [source, setSource] = useState(false);
	const state = useFile(props, async (abort) => {
		const p = await part(props.run, props.path, 0, MAX, abort);
		if (!p.whole) throw new Error(`The file has ${sizeWord(p.total)}; up to ${sizeWord(MAX)} are drawn here.`);
		const text = textOf(p);
		return { text, shapes: shapesOf(parsePython(text)) };
	});
	const drawn = useMemo(() => {
		const shapes = state.value?.shapes ?? [];
		let x0 = Infinity,
			x1 = -Infinity,
			y0 = Infinity,
			y1 = -Infinity;
		for (const s of shapes)
			for (const ring of s.rings)
				for (const [x, y] of ring) {
					x0 = Math.min(x0, x!);
					x1 = Math.max(x1, x!);
					y0 = Math.min(y0, y!);
					y1 = Math.max(y1, y!);
				}
		const span = Math.max(x1 - x0, y1 - y0) || 1;
		/* A degree of longitude is shorter away from the equator. */
		const squeeze = Math.max(0.1, Math.cos((((y0 + y1) / 2) * Math.PI) / 180));
		const k = WIDTH / Math.max((x1 - x0) * squeeze || span * 0.1, (y1 - y0) * 0.8 || span * 0.1);
		const at = (p: number[]): [number, number] => [(p[0]! - x0) * squeeze * k + 12, (y1 - p[1]!) * k + 12];
		const path = (rings: number[][][], close: boolean) =>
			rings
				.map(
					(r) =>
						r
							.map(
								(p, i) =>
									`${i ? 'L' : 'M'}${at(p)
										.map((v) => v.toFixed(1))
										.join(' ')}`,
							)
							.join('') + (close ? 'Z' : ''),
				)
				.join('');
		return { at, path, x0, x1, y0, y1, width: (x1 - x0) * squeeze * k + 24, height: (y1 - y0) * k + 24 };
	}, [state.value]);
	if (!state.value) return <Status of={state} />;
	const { shapes, text } = state.value;
	return (
		<>
			<Bar>
				<span class="muted small">
					{shapes.length} {shapes.length === 1 ? 'shape' : 'shapes'}
					{shapes.length > 0 &&
						` · longitude ${drawn.x0.toFixed(3)} to ${drawn.x1.toFixed(3)}, latitude ${drawn.y0.toFixed(3)} to ${drawn.y1.toFixed(3)}`}
				</span>
				<button type="button" class={`btn small quiet ${source ? 'on' : ''}`} aria-pressed={source} onClick={() => setSource(!source)}>
					Source
				</button>
			</Bar>
			{source || !shapes.length ? (
				<Lines text={text.slice(0, 2_000_000)} language="json" />
			) : (
				<svg
					class="view-geo"
					viewBox={`0 0 ${drawn.width.toFixed(1)} ${drawn.height.toFixed(1)}`}
					role="img"
					aria-label={`${shapes.length} shapes`}
				>
					{shapes.map((s, i) => (
						<g key={i}>
							{s.kind === 'point' ? (
								s.rings[0]!.map((p, j) => {
									const [x, y] = drawn.at(p);
									return <circle key={j} class="point" cx={x} cy={y} r="4" />;
								})
							) : (
								<path class={s.kind} d={drawn.path(s.rings, s.kind === 'area')} />
							)}
							{s.words && <title>{s.words}</title>}
						</g>
					))}
				</svg>
			)}
		</>
	);
}
