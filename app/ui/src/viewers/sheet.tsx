/* A table of text cells: numbers to the right, a head that stays. */

import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { saveCSV } from '../charts/export';
import { Bar } from './frame';

export interface SheetData {
	columns: string[];
	rows: (string | null)[][];
	/** Rows of the whole file; NaN when not known. */
	total: number;
	types?: string[];
}

const STEP = 200;
const COLUMNS = 100;

export default function Sheet(props: { data: SheetData; name?: string }): JSX.Element {
	const { columns, rows, total, types } = props.data;
	const [count, setCount] = useState(STEP);
	const [wide, setWide] = useState(false);
	const width = wide ? columns.length : Math.min(COLUMNS, columns.length);
	const numeric = useMemo(
		() => columns.map((_, c) => rows.slice(0, 50).every((r) => r[c] === null || r[c] === '' || !Number.isNaN(Number(r[c])))),
		[props.data],
	);
	const known = Number.isFinite(total);
	return (
		<>
			<Bar>
				<span class="muted small">
					{known && total === rows.length
						? `${total.toLocaleString('en-US')} rows`
						: `First ${rows.length.toLocaleString('en-US')} of ${known ? total.toLocaleString('en-US') : 'more'} rows`}
					{` · ${columns.length} columns`}
				</span>
				{props.name && (
					<button type="button" class="btn small quiet" onClick={() => saveCSV(props.name!, [columns, ...rows])}>
						CSV of these rows
					</button>
				)}
				{columns.length > width && (
					<button type="button" class="btn small quiet" onClick={() => setWide(true)}>
						All {columns.length} columns
					</button>
				)}
			</Bar>
			<div class="view-sheet" tabIndex={0} role="region" aria-label="Table">
				<table class="plain">
					<thead>
						<tr>
							<th class="num">#</th>
							{columns.slice(0, width).map((c, i) => (
								<th key={i} class={numeric[i] ? 'num' : ''} title={types?.[i] ? `${c}: ${types[i]}` : c}>
									{c}
									{types?.[i] && <span class="muted"> {types[i]}</span>}
								</th>
							))}
						</tr>
					</thead>
					<tbody>
						{rows.slice(0, count).map((r, i) => (
							<tr key={i}>
								<td class="num muted">{i + 1}</td>
								{columns.slice(0, width).map((_, c) => (
									<td
										key={c}
										class={numeric[c] ? 'num' : r[c] && r[c]!.length > 45 ? 'long' : ''}
										title={r[c] && r[c]!.length > 60 ? r[c]!.slice(0, 2000) : undefined}
									>
										{r[c] === null || r[c] === undefined ? (
											<span class="muted">none</span>
										) : r[c]!.length > 200 ? (
											r[c]!.slice(0, 200) + '…'
										) : (
											r[c]
										)}
									</td>
								))}
							</tr>
						))}
					</tbody>
				</table>
			</div>
			{rows.length > count && (
				<p>
					<button type="button" class="btn small" onClick={() => setCount(count + STEP)}>
						{Math.min(STEP, rows.length - count)} more rows
					</button>
				</p>
			)}
		</>
	);
}
