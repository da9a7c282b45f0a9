/* NumPy arrays: shape, type, range, the values, and a matrix as a picture. */

import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { viridis } from '../charts/palette';
import { short } from '../charts/ticks';
import { Bar, Cut, part, sizeWord, Status, useFile, type ViewerProps } from './frame';
import { Pixels } from './image';
import { offsetOf, type NumpyArray } from './npy';
import Sheet, { type SheetData } from './sheet';
import { work } from './tasks';

const MAX = 8_000_000;
const ZIP_MAX = 60_000_000;
const ROWS = 500;
const COLUMNS = 100;
const PICTURE = 1024;

export default function Numpy(props: ViewerProps): JSX.Element {
	const zipped = /\.npz$/i.test(props.path);
	const [chosen, setChosen] = useState('');
	const state = useFile(props, async (abort) => {
		const p = await part(props.run, props.path, 0, zipped ? ZIP_MAX : MAX, abort);
		if (zipped && !p.whole) throw new Error(`The archive has ${sizeWord(p.total)}; up to ${sizeWord(ZIP_MAX)} are shown here.`);
		return { arrays: await work('numpy', { bytes: p.bytes, zipped }, p.bytes.length, abort), cut: p.whole ? '' : `First ${sizeWord(p.bytes.length)} of ${sizeWord(p.total)} read.` };
	});
	if (!state.value) return <Status of={state} />;
	const names = Object.keys(state.value.arrays);
	const name = names.includes(chosen) ? chosen : (names[0] ?? '');
	const array = state.value.arrays[name];
	return (
		<>
			{state.value.cut && <Cut>{state.value.cut}</Cut>}
			{zipped && (
				<Bar>
					<label class="line small">
						<span class="muted">{names.length} arrays</span>
						<select class="field" value={name} onChange={(e) => setChosen(e.currentTarget.value)}>
							{names.map((n) => (
								<option key={n} value={n} selected={n === name}>
									{n}
								</option>
							))}
						</select>
					</label>
				</Bar>
			)}
			{array === undefined ? (
				<p class="muted">The archive is empty.</p>
			) : typeof array === 'string' ? (
				<p class="notice">{array}</p>
			) : (
				<Values key={name} array={array} />
			)}
		</>
	);
}

function Values(props: { array: NumpyArray }): JSX.Element {
	const a = props.array;
	const [slice, setSlice] = useState(0);
	const [picture, setPicture] = useState(false);
	/* The last two dimensions are the table; those before it are chosen by one number. */
	const rank = a.shape.length;
	const rows = rank < 2 ? (a.shape[0] ?? 1) : a.shape[rank - 2]!,
		columns = rank < 2 ? 1 : a.shape[rank - 1]!;
	const slices = rank > 2 ? a.shape.slice(0, -2).reduce((x, y) => x * y, 1) : 1;
	const at = (r: number, c: number) => {
		const index: number[] = [];
		let rest = slice;
		for (let k = rank - 3; k >= 0; k--) {
			index.unshift(rest % a.shape[k]!);
			rest = Math.floor(rest / a.shape[k]!);
		}
		if (rank === 1) index.push(r);
		else if (rank > 1) index.push(r, c);
		return a.values[offsetOf(a, index)];
	};
	const sheet = useMemo((): SheetData => {
		const n = Math.min(rows, ROWS),
			m = Math.min(columns, COLUMNS);
		return {
			columns: rank < 2 ? ['value'] : Array.from({ length: m }, (_, i) => String(i)),
			rows: Array.from({ length: n }, (_, r) =>
				Array.from({ length: m }, (_, c) => {
					const v = at(r, c);
					return v === undefined ? null : typeof v === 'number' ? String(Number.isInteger(v) ? v : Number(v.toPrecision(7))) : String(v);
				}),
			),
			total: rows,
		};
	}, [a, slice]);
	const range = useMemo(() => {
		let lo = Infinity,
			hi = -Infinity,
			sum = 0,
			n = 0,
			nan = 0;
		for (let i = 0; i < a.values.length; i++) {
			const v = Number(a.values[i]);
			if (!isFinite(v)) {
				nan++;
				continue;
			}
			lo = Math.min(lo, v);
			hi = Math.max(hi, v);
			sum += v;
			n++;
		}
		return { lo, hi, mean: sum / n, n, nan };
	}, [a]);
	const image = useMemo(() => {
		if (!picture) return null;
		const w = Math.min(columns, PICTURE),
			h = Math.min(rows, PICTURE);
		const rgba = new Uint8ClampedArray(w * h * 4);
		for (let r = 0; r < h; r++)
			for (let c = 0; c < w; c++) {
				const v = Number(at(Math.floor((r * rows) / h), Math.floor((c * columns) / w)));
				const m = isFinite(v)
					? /(\d+),(\d+),(\d+)/.exec(viridis(range.hi > range.lo ? (v - range.lo) / (range.hi - range.lo) : 0.5))
					: null;
				rgba.set(m ? [Number(m[1]), Number(m[2]), Number(m[3]), 255] : [0, 0, 0, 0], (r * w + c) * 4);
			}
		return { width: w, height: h, rgba };
	}, [a, slice, picture]);
	return (
		<>
			<table class="kv">
				<tbody>
					<tr>
						<th>Shape</th>
						<td class="num">
							({a.shape.join(', ')}
							{rank === 1 ? ',' : ''})
						</td>
					</tr>
					<tr>
						<th>Type</th>
						<td class="num">{a.dtype}</td>
					</tr>
					{range.n > 0 && (
						<tr>
							<th>Range</th>
							<td class="num">
								{short(range.lo)} to {short(range.hi)}, mean {short(range.mean)}
								{range.nan ? `, ${range.nan} not finite` : ''}
							</td>
						</tr>
					)}
				</tbody>
			</table>
			<Bar>
				{slices > 1 && (
					<label class="line small">
						<span class="muted">
							Slice {slice + 1} of {slices}
						</span>
						<input
							type="range"
							min="0"
							max={String(slices - 1)}
							value={String(slice)}
							onInput={(e) => setSlice(Number(e.currentTarget.value))}
						/>
					</label>
				)}
				{rank >= 2 && range.n > 0 && (
					<button
						type="button"
						class={`btn small quiet ${picture ? 'on' : ''}`}
						aria-pressed={picture}
						onClick={() => setPicture(!picture)}
					>
						As a picture
					</button>
				)}
			</Bar>
			{image ? <Pixels {...image} label={`Matrix of ${rows} by ${columns}, dark is low, light is high`} /> : <Sheet data={sheet} />}
			{columns > COLUMNS && !image && (
				<Cut>
					First {COLUMNS} of {columns} columns shown.
				</Cut>
			)}
		</>
	);
}
